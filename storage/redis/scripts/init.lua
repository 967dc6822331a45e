-- Sets the store up, once.
-- KEYS: meta. ARGV: schema, id of the store, now (RFC 3339).
-- Returns 1 if this call did it, 0 if it was done before.
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HSET', KEYS[1], 'created', redis.call('HGET', KEYS[1], 'created')) -- written again: see call.go, durably
  return 0
end
redis.call('HSET', KEYS[1], 'schema', ARGV[1], 'store', ARGV[2], 'created', ARGV[3])
return 1
