-- Ends a grant for ever. The first reason stays.
-- KEYS: grant. ARGV: reason, 1 to write something in any case (see call.go, durably).
-- Returns 'ok', also for a grant that is not there.
local g = redis.call('HMGET', KEYS[1], 'revoked', 'idle', 'ends')
if not g[2] then return 'ok' end
if not g[1] then
  redis.call('HSET', KEYS[1], 'revoked', ARGV[1])
elseif ARGV[2] == '1' then
  redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', math.min(tonumber(g[2]), tonumber(g[3])) / 1000 + 60000))
end
return 'ok'
