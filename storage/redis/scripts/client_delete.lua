-- Removes a client.
-- KEYS: client, list of clients. ARGV: id.
-- Returns 'ok' or 'absent'.
redis.call('ZADD', KEYS[2], 0, ARGV[1]) -- a write in any case: see call.go, durably
redis.call('ZREM', KEYS[2], ARGV[1])
if redis.call('DEL', KEYS[1]) == 0 then return 'absent' end
return 'ok'
