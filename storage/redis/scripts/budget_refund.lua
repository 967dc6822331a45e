-- Gives units back to a budget, which never holds more than its burst.
-- KEYS: budget. ARGV: every (µs), units.
-- Returns 'ok'.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local full = tonumber(redis.call('GET', KEYS[1]) or '0')
if full <= now then return 'ok' end -- full already
full = full - ARGV[1] * ARGV[2]
if full <= now then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], string.format('%.0f', full), 'PXAT', string.format('%.0f', full / 1000 + 1000))
end
return 'ok'
