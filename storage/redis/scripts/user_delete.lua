-- Removes a user and frees the username.
-- KEYS: user, list of usernames. ARGV: prefix of the keys of usernames.
-- Returns 'ok' or 'absent'.
local username = redis.call('HGET', KEYS[1], 'username')
if not username then
  -- A write in any case: see call.go, durably. No username is empty.
  redis.call('ZADD', KEYS[2], 0, '')
  redis.call('ZREM', KEYS[2], '')
  return 'absent'
end
redis.call('DEL', KEYS[1], ARGV[1] .. username)
redis.call('ZREM', KEYS[2], username)
return 'ok'
