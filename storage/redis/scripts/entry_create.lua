-- Stores a new entry. One that has ended is as good as none.
-- KEYS: entry, index of its owner (only if it has one and the index is at the same server). ARGV: record, owner, version,
-- end (µs since 1970, '+inf' for never), id, attempt.
-- Returns 'ok' or 'exists'.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local stored = redis.call('HMGET', KEYS[1], 'end', 'attempt')
if stored[1] then
  redis.call('HSET', KEYS[1], 'attempt', stored[2]) -- written again: see call.go, durably
  if stored[2] == ARGV[6] then return 'ok' end
  if not ended(stored[1], now) then return 'exists' end
  redis.call('DEL', KEYS[1])
end
if ended(ARGV[4], now) then return 'ok' end -- over before it began
if KEYS[2] then own(KEYS[2], now, ARGV[4], ARGV[5] .. ' ' .. ARGV[6]) end
redis.call('HSET', KEYS[1], 'record', ARGV[1], 'owner', ARGV[2], 'version', ARGV[3], 'end', ARGV[4], 'attempt', ARGV[6])
keep(KEYS[1], ARGV[4])
return 'ok'
