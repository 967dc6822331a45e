-- Stores a new client.
-- KEYS: client, list of clients. ARGV: id, record, version, attempt.
-- Returns 'ok' or 'exists'.
if redis.call('EXISTS', KEYS[1]) == 1 then
  local attempt = redis.call('HGET', KEYS[1], 'attempt')
  redis.call('HSET', KEYS[1], 'attempt', attempt) -- written again: see call.go, durably
  if attempt == ARGV[4] then return 'ok' end
  return 'exists'
end
redis.call('HSET', KEYS[1], 'version', ARGV[3], 'record', ARGV[2], 'attempt', ARGV[4])
redis.call('ZADD', KEYS[2], 0, ARGV[1])
return 'ok'
