-- Reads an entry that has not ended.
-- KEYS: entry.
-- Returns {record, owner, version}, or nil.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local e = redis.call('HMGET', KEYS[1], 'record', 'owner', 'version', 'end')
if not e[4] or ended(e[4], now) then return false end
e[4] = nil
return e
