-- Removes a client.
-- KEYS: client, list of clients. ARGV: id.
-- Returns 'ok' or 'absent'.
redis.call('ZREM', KEYS[2], ARGV[1])
if redis.call('DEL', KEYS[1]) == 0 then return 'absent' end
return 'ok'
