-- Redeems one generation of a grant. storage.Rotation.Decide is the specification, in the same order.
-- KEYS: grant. ARGV: generation presented, attempt, grace window (µs), idle life time (µs), 1 to check the fence, 1 to get
-- the record too, 1 to write something in any case (see call.go, durably), not after (µs by the clock of Redis; 0 for
-- whenever): the caller has given up by then, and somebody who asked again may have gone on.
-- Returns {outcome, now, generation, rotated, attempt, idle, reason of the revocation or nil, record or nil}, or nil if there is
-- no such grant or it has ended.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local moment = string.format('%.0f', now)
if ARGV[8] ~= '0' and now > tonumber(ARGV[8]) then return {'late', moment} end
local g = redis.call('HMGET', KEYS[1], 'generation', 'rotated', 'attempt', 'idle', 'revoked', 'ends', 'fence')
if not g[1] then return false end
local generation, rotated, attempt, idle, revoked, ends = tonumber(g[1]), g[2], g[3], tonumber(g[4]), g[5], tonumber(g[6])
if now >= math.min(idle, ends) then return false end
local presented = tonumber(ARGV[1])

local outcome
if revoked then
  outcome = 'dead'
elseif ARGV[5] == '1' and g[7] ~= string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)') then
  outcome = 'fenced'
elseif presented == generation then
  outcome = 'rotated'
  generation = generation + 1
  rotated, attempt, idle = moment, ARGV[2], math.min(now + ARGV[4], ends)
  redis.call('HSET', KEYS[1], 'generation', string.format('%.0f', generation), 'rotated', rotated, 'attempt', attempt,
    'idle', string.format('%.0f', idle))
  redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', idle / 1000 + 60000))
elseif presented > generation then
  outcome, revoked = 'ahead', 'refresh token newer than the store'
elseif presented + 1 == generation and ARGV[2] ~= '' and ARGV[2] == attempt then
  outcome = 'rotated'
elseif presented + 1 == generation and rotated and tonumber(ARGV[3]) > 0 and now - rotated <= tonumber(ARGV[3]) then
  outcome = 'replayed'
else
  outcome, revoked = 'reused', 'refresh token reused'
end
if outcome == 'ahead' or outcome == 'reused' then
  redis.call('HSET', KEYS[1], 'revoked', revoked)
elseif ARGV[7] == '1' then
  redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', math.min(idle, ends) / 1000 + 60000))
end
local record = false
if ARGV[6] == '1' then record = redis.call('HGET', KEYS[1], 'record') end
return {outcome, moment, string.format('%.0f', generation), rotated, attempt, string.format('%.0f', idle), revoked, record}
