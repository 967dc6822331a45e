-- Puts a member into an index, before what it stands for is written: for a cluster, where that lives in another slot.
-- KEYS: index. ARGV: end (µs since 1970, '+inf' for never), member.
-- Returns 'ok', also for what has ended, which is not put in.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
if not ended(ARGV[1], now) then own(KEYS[1], now, ARGV[1], ARGV[2]) end
return 'ok'
