-- Takes one unit from a budget (the generic cell rate algorithm). storage.Budget.SpendOne is the specification.
-- KEYS: budget. ARGV: burst, every (µs).
-- Returns how long until there is a unit again, in µs; 0 if one was taken.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local burst, every = tonumber(ARGV[1]), tonumber(ARGV[2])
local stored = tonumber(redis.call('GET', KEYS[1]) or '0')
local full = math.min(math.max(stored, now), now + burst * every) -- at most empty, also after the clock was set back
local after = full + every
local over = after - now - burst * every
if over > 0 then
  if full < stored then -- it was: from now on it counts by the new time
    redis.call('SET', KEYS[1], string.format('%.0f', full), 'PXAT', string.format('%.0f', full / 1000 + 1000))
  end
  return over
end
redis.call('SET', KEYS[1], string.format('%.0f', after), 'PXAT', string.format('%.0f', after / 1000 + 1000))
return 0
