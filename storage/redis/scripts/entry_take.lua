-- Removes an entry that has not ended.
-- KEYS: entry. ARGV: id, prefix of the keys of the indexes ('' in a cluster, where they live in other slots), 1 to write
-- something in any case (see call.go, durably).
-- Returns {record, owner, version, attempt that wrote it}, or 'absent'.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local e = redis.call('HMGET', KEYS[1], 'record', 'owner', 'version', 'attempt', 'end')
if not e[5] or ended(e[5], now) then
  if ARGV[3] == '1' then redis.call('HSET', KEYS[1], 'end', '0') end
  redis.call('DEL', KEYS[1])
  return 'absent'
end
redis.call('DEL', KEYS[1])
if ARGV[2] ~= '' and e[2] ~= '' then redis.call('ZREM', ARGV[2] .. e[2], ARGV[1] .. ' ' .. e[4]) end
e[5] = nil
return e
