-- Replaces an entry that has not ended, if it still has the version that the caller read. The owner stays.
-- KEYS: entry. ARGV: version read, record, end (µs since 1970, '+inf' for never), id, attempt, prefix of the keys of the
-- indexes ('' in a cluster, where they live in other slots), owner in whose index this attempt is already (in a cluster),
-- 1 to write something in any case (see call.go, durably).
-- Returns {'ok', owner, attempt that wrote it before}, {'owner', owner} if that is another one than the caller believed, or
-- {'absent'} or {'conflict'}.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local stored = redis.call('HMGET', KEYS[1], 'version', 'owner', 'end', 'attempt')
if not stored[1] or ended(stored[3], now) then
  if ARGV[8] == '1' then redis.call('HSET', KEYS[1], 'end', '0') end
  redis.call('DEL', KEYS[1])
  return {'absent'}
end
local owner = stored[2]
if tonumber(stored[1]) ~= tonumber(ARGV[1]) then
  redis.call('HSET', KEYS[1], 'attempt', stored[4]) -- written again: see call.go, durably
  if tonumber(stored[1]) == ARGV[1] + 1 and stored[4] == ARGV[5] then return {'ok', owner, ''} end
  return {'conflict'}
end
if ARGV[6] == '' and owner ~= ARGV[7] then return {'owner', owner} end
if ARGV[6] ~= '' and owner ~= '' then
  if not ended(ARGV[3], now) then own(ARGV[6] .. owner, now, ARGV[3], ARGV[4] .. ' ' .. ARGV[5]) end
  redis.call('ZREM', ARGV[6] .. owner, ARGV[4] .. ' ' .. stored[4])
end
if ended(ARGV[3], now) then
  redis.call('DEL', KEYS[1]) -- it was replaced by nothing
else
  redis.call('HSET', KEYS[1], 'record', ARGV[2], 'version', ARGV[1] + 1, 'end', ARGV[3], 'attempt', ARGV[5])
  keep(KEYS[1], ARGV[3])
end
return {'ok', owner, stored[4]}
