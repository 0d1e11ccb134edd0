-- A new user. KEYS behind the birth: user, look, count. ARGV behind the birth: password, name.
local have = redis.call('GET', KEYS[2])
if have then
  -- The salt makes a password its own: this was asked before, and the answer was lost.
  return have:sub(1, #ARGV[2] + 1) == ARGV[2] .. ' ' and 'done' or 'taken'
end
if redis.call('EXISTS', KEYS[3]) == 1 then return 'looks' end
-- First what may be refused though the rest is not: what was done before would stay done.
redis.call('INCR', KEYS[4])
local outcome = redis.pcall('SET', KEYS[2], ARGV[2] .. ' ' .. redis.call('TIME')[1] .. ' active')
if outcome.err then
  redis.call('DECR', KEYS[4])
  return outcome
end
redis.call('SET', KEYS[3], ARGV[3])
return 'done'
