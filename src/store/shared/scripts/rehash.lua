-- Another password. KEYS behind the birth: user. ARGV behind the birth: new password, the one that it replaces or ''.
local have = redis.call('GET', KEYS[2])
if not have then return 'unknown' end
local password, rest = have:match('^(%S+)( .*)$')
if password == ARGV[2] then return 'done' end
if ARGV[3] ~= '' and password ~= ARGV[3] then return 'changed' end
redis.call('SET', KEYS[2], ARGV[2] .. rest)
return 'done'
