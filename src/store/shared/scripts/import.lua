-- A user as another store had it. KEYS: birth, user, look, count. ARGV: the birth that is known, name, record.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'emptied' end
local have = redis.call('GET', KEYS[2])
if have then return have == ARGV[3] and 'done' or 'taken' end
redis.call('SET', KEYS[2], ARGV[3])
redis.call('SET', KEYS[3], ARGV[2], 'NX')
redis.call('INCR', KEYS[4])
return 'done'
