-- Finds a user by username.
-- KEYS: username. ARGV: prefix of the keys of users (they live in the same slot).
-- Returns {record, attempt}, or nil.
local id = redis.call('GET', KEYS[1])
if not id then return false end
local user = redis.call('HMGET', ARGV[1] .. id, 'record', 'attempt')
-- A slot on its way to another node can be here with one of its keys and there with the other.
if not user[1] then return redis.error_reply('TRYAGAIN ingam: a username is here and its user is not') end
return user
