-- Replaces a client if it still has the version that the caller read.
-- KEYS: client. ARGV: version read, record (its version is one more), attempt.
-- Returns 'ok', 'absent' or 'conflict'.
local stored = redis.call('HMGET', KEYS[1], 'version', 'attempt')
if not stored[1] then return 'absent' end
if tonumber(stored[1]) ~= tonumber(ARGV[1]) then
  redis.call('HSET', KEYS[1], 'attempt', stored[2]) -- written again: see call.go, durably
  if tonumber(stored[1]) == ARGV[1] + 1 and stored[2] == ARGV[3] then return 'ok' end
  return 'conflict'
end
redis.call('HSET', KEYS[1], 'version', ARGV[1] + 1, 'record', ARGV[2], 'attempt', ARGV[3])
return 'ok'
