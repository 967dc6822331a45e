-- Replaces a user if they still have the version that the caller read. A new username must be free or their own; the
-- old one is free afterwards.
-- KEYS: user, username (new), list of usernames. ARGV: id, username (new), record, epoch, disabled (0|1), version read,
-- attempt, prefix of the keys of usernames (for the old one, which lives in the same slot).
-- Returns 'ok', 'absent', 'conflict' or 'exists'.
local stored = redis.call('HMGET', KEYS[1], 'version', 'username', 'attempt')
if not stored[1] then return 'absent' end
if tonumber(stored[1]) ~= tonumber(ARGV[6]) then
  redis.call('HSET', KEYS[1], 'attempt', stored[3]) -- written again: see call.go, durably
  if tonumber(stored[1]) == ARGV[6] + 1 and stored[3] == ARGV[7] then return 'ok' end
  return 'conflict'
end
local owner = redis.call('GET', KEYS[2])
if owner and owner ~= ARGV[1] then return 'exists' end
if stored[2] ~= ARGV[2] then
  redis.call('DEL', ARGV[8] .. stored[2])
  redis.call('ZREM', KEYS[3], stored[2])
end
redis.call('HSET', KEYS[1], 'version', ARGV[6] + 1, 'record', ARGV[3], 'username', ARGV[2], 'epoch', ARGV[4],
  'disabled', ARGV[5], 'attempt', ARGV[7])
redis.call('SET', KEYS[2], ARGV[1])
redis.call('ZADD', KEYS[3], 0, ARGV[2])
return 'ok'
