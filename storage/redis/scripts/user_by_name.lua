-- Finds a user by username.
-- KEYS: username. ARGV: prefix of the keys of users (they live in the same slot).
-- Returns the record, or nil.
local id = redis.call('GET', KEYS[1])
if not id then return false end
return redis.call('HGET', ARGV[1] .. id, 'record')
