-- A user as another store had it. KEYS behind the birth: user, look, count. ARGV behind the birth: name, record.
local have = redis.call('GET', KEYS[2])
if have then return have == ARGV[3] and 'done' or 'taken' end
redis.call('SET', KEYS[2], ARGV[3])
redis.call('SET', KEYS[3], ARGV[2], 'NX')
redis.call('INCR', KEYS[4])
return 'done'
