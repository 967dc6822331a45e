-- Marks a key until a time, unless it is marked.
-- KEYS: mark. ARGV: until (µs), attempt.
-- Returns 1 if this attempt made the mark, 0 if it lives already.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local stored = redis.call('GET', KEYS[1])
if stored then
  local ending, attempt = string.match(stored, '^(%d+) (.*)$')
  if now < tonumber(ending) then
    redis.call('SET', KEYS[1], stored, 'KEEPTTL') -- written again: see call.go, durably
    return attempt == ARGV[2] and 1 or 0
  end
end
if tonumber(ARGV[1]) > now then
  redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. ARGV[2], 'PXAT', string.format('%.0f', ARGV[1] / 1000 + 1000))
end
return 1
