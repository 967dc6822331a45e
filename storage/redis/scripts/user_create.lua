-- Stores a new user. Id and username must both be free.
-- KEYS: user, username, list of usernames. ARGV: id, username, record, epoch, disabled (0|1), version, attempt.
-- Returns 'ok' or 'exists'.
if redis.call('EXISTS', KEYS[1], KEYS[2]) > 0 then
  local attempt, owner = redis.call('HGET', KEYS[1], 'attempt'), redis.call('GET', KEYS[2])
  if attempt then redis.call('HSET', KEYS[1], 'attempt', attempt) end -- written again: see call.go, durably
  if owner then redis.call('SET', KEYS[2], owner) end
  if attempt == ARGV[7] then return 'ok' end
  return 'exists'
end
redis.call('HSET', KEYS[1], 'version', ARGV[6], 'record', ARGV[3], 'username', ARGV[2], 'epoch', ARGV[4],
  'disabled', ARGV[5], 'attempt', ARGV[7])
redis.call('SET', KEYS[2], ARGV[1])
redis.call('ZADD', KEYS[3], 0, ARGV[2])
return 'ok'
