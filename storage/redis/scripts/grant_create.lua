-- Stores a new grant. One that has ended is as good as none.
-- KEYS: grant, index of the grants of its user (only if it is at the same server). ARGV: record, generation, idle end, absolute
-- end (µs since 1970), rotated at (µs, '' if never), attempt of that, 1 if revoked, reason, attempt of this creation, id.
-- Returns 'ok' or 'exists'.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local stored = redis.call('HMGET', KEYS[1], 'idle', 'ends', 'creation')
if stored[1] then
  redis.call('HSET', KEYS[1], 'creation', stored[3]) -- written again: see call.go, durably
  if stored[3] == ARGV[9] then return 'ok' end
  if now < math.min(tonumber(stored[1]), tonumber(stored[2])) then return 'exists' end
  redis.call('DEL', KEYS[1])
end
local ending = math.min(tonumber(ARGV[3]), tonumber(ARGV[4]))
if ending <= now then return 'ok' end -- over before it began
if KEYS[2] then own(KEYS[2], now, ARGV[4], ARGV[10] .. ' ' .. ARGV[9]) end
-- The id of this primary's history: it is another one after every failover and restart. See grant_rotate.lua, fence.
local fence = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
redis.call('HSET', KEYS[1], 'record', ARGV[1], 'generation', ARGV[2], 'idle', ARGV[3], 'ends', ARGV[4], 'fence', fence,
  'creation', ARGV[9])
if ARGV[5] ~= '' then redis.call('HSET', KEYS[1], 'rotated', ARGV[5], 'attempt', ARGV[6]) end
if ARGV[7] == '1' then redis.call('HSET', KEYS[1], 'revoked', ARGV[8]) end
-- Redis drops it a minute after its end. Whether it has ended is decided here, by its own times.
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', ending / 1000 + 60000))
return 'ok'
