-- Reads a grant that has not ended.
-- KEYS: grant.
-- Returns {generation, rotated, attempt, idle, reason of the revocation or nil, record}, or nil.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local g = redis.call('HMGET', KEYS[1], 'generation', 'rotated', 'attempt', 'idle', 'revoked', 'record', 'ends')
if not g[1] or now >= math.min(tonumber(g[4]), tonumber(g[7])) then return false end
g[7] = nil
return g
