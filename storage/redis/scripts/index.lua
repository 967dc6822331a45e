-- What the scripts that keep an index begin with; it is no script of its own. An index is a ZSET of members "ID ATTEMPT",
-- scored by when the record that this attempt wrote ends ('+inf' for never).
-- KEYS: as the script that follows says.
-- Returns nothing.

-- ended tells whether what ends then is over.
local function ended(ending, now)
  return ending ~= '+inf' and now >= tonumber(ending)
end

-- keep lets Redis drop a key a minute after its end, or never. Whether it has ended is decided by the times in it.
local function keep(key, ending)
  if ending == '+inf' or ending == 'inf' then
    redis.call('PERSIST', key)
  else
    redis.call('PEXPIREAT', key, string.format('%.0f', tonumber(ending) / 1000 + 60000))
  end
end

-- own puts a member into an index, tidies up some of those that have ended, and keeps the index as long as its last member.
local function own(index, now, ending, member)
  local over = redis.call('ZRANGE', index, '-inf', string.format('%.0f', now), 'BYSCORE', 'LIMIT', 0, 100)
  if #over > 0 then redis.call('ZREM', index, unpack(over)) end
  redis.call('ZADD', index, ending, member)
  keep(index, redis.call('ZRANGE', index, -1, -1, 'WITHSCORES')[2])
end

