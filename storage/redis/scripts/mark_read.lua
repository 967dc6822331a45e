-- Tells whether a mark lives.
-- KEYS: mark.
-- Returns 1 or 0.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local stored = redis.call('GET', KEYS[1])
return stored and now < tonumber(string.match(stored, '^%d+')) and 1 or 0
