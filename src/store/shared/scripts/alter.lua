-- An account's state. KEYS behind the birth: user, look, count, others who look so. ARGV behind the birth: name, new state or
-- 'removed'.
local have = redis.call('GET', KEYS[2])
if not have then return 'unknown' end
if ARGV[3] == 'removed' then
  -- First what may be refused though the rest is not: what was done before would stay done. A full store takes the rest
  -- behind the first of them, which takes no memory.
  local holder = redis.call('GET', KEYS[3])
  redis.call('ZREM', KEYS[5], '')
  redis.call('DECR', KEYS[4])
  local outcome = redis.pcall('DEL', KEYS[2])
  if type(outcome) == 'table' then
    redis.call('INCR', KEYS[4])
    return outcome
  end
  redis.call('ZREM', KEYS[5], ARGV[2])
  if holder == ARGV[2] then
    -- The next who looks so keeps the look from strangers.
    local heir
    repeat
      heir = redis.call('ZRANGE', KEYS[5], 0, 0)[1]
      if heir then redis.call('ZREM', KEYS[5], heir) end
    until not heir or redis.call('EXISTS', 'porter:user:' .. heir) == 1
    if heir then redis.call('SET', KEYS[3], heir) else redis.call('DEL', KEYS[3]) end
  end
else
  redis.call('SET', KEYS[2], have:match('^(%S+ %d+) ') .. ' ' .. ARGV[3])
end
return 'done'
