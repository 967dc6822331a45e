-- Replaces the key ring if it still has the version that the caller read.
-- KEYS: ring. ARGV: version read (0 also if there was none; 'none' if there must be none), record, attempt, version of the
-- record.
-- Returns 'ok' or 'conflict'.
local stored = redis.call('HMGET', KEYS[1], 'version', 'attempt')
local version = stored[1] or (ARGV[1] == 'none' and 'none' or '0')
if version ~= ARGV[1] then
  if stored[2] then redis.call('HSET', KEYS[1], 'attempt', stored[2]) end -- written again: see call.go, durably
  if version == ARGV[4] and stored[2] == ARGV[3] then return 'ok' end
  return 'conflict'
end
redis.call('HSET', KEYS[1], 'version', ARGV[4], 'record', ARGV[2], 'attempt', ARGV[3])
return 'ok'
