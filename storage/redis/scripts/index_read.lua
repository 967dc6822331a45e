-- Lists members of an index that have not ended.
-- KEYS: index. ARGV: how many, 1 for those that end last (else those that end first).
-- Returns {now (µs since 1970), member …}.
local t = redis.call('TIME')
local now = string.format('%.0f', t[1] * 1000000 + t[2])
local list
if ARGV[2] == '1' then
  list = redis.call('ZRANGE', KEYS[1], '+inf', '(' .. now, 'BYSCORE', 'REV', 'LIMIT', 0, ARGV[1])
else
  list = redis.call('ZRANGE', KEYS[1], '(' .. now, '+inf', 'BYSCORE', 'LIMIT', 0, ARGV[1])
end
table.insert(list, 1, now)
return list
