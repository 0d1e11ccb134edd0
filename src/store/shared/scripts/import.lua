-- A user as another store had it. KEYS behind the birth: user, look, count, others who look so. ARGV behind the birth: name,
-- record. Who looks like another keeps the name.
local have = redis.call('GET', KEYS[2])
if have and have ~= ARGV[3] then return 'taken' end
if not have then
  -- First what may be refused though the rest is not: what was done before would stay done.
  redis.call('INCR', KEYS[4])
  redis.call('SET', KEYS[2], ARGV[3])
end
if not redis.call('SET', KEYS[3], ARGV[2], 'NX') and redis.call('GET', KEYS[3]) ~= ARGV[2] then
  redis.call('ZADD', KEYS[5], 0, ARGV[2])
end
return 'done'
