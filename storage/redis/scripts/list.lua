-- Lists records in order of id or username.
-- KEYS: list. ARGV: where to begin in the spelling of ZRANGE BYLEX, how many, prefix of the keys of the records, prefix of
-- the keys that lead from a member of the list to the id ('' if the members are ids). All live in one slot.
-- Returns the records.
local records = {}
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], ARGV[1], '+', 'BYLEX', 'LIMIT', 0, ARGV[2])) do
  local id = member
  if ARGV[4] ~= '' then id = redis.call('GET', ARGV[4] .. member) end
  local record = id and redis.call('HGET', ARGV[3] .. id, 'record')
  if not record then return redis.error_reply('ERR ingam: ' .. KEYS[1] .. ' lists a record that is not there') end
  records[#records + 1] = record
end
return records
