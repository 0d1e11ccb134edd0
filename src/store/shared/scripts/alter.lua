-- An account's state. KEYS behind the birth: user, look, count. ARGV behind the birth: name, new state or 'removed'.
local have = redis.call('GET', KEYS[2])
if not have then return ARGV[3] == 'removed' and 'done' or 'unknown' end
if ARGV[3] == 'removed' then
  redis.call('DEL', KEYS[2])
  if redis.call('GET', KEYS[3]) == ARGV[2] then redis.call('DEL', KEYS[3]) end
  redis.call('DECR', KEYS[4])
else
  redis.call('SET', KEYS[2], have:match('^(%S+ %d+) ') .. ' ' .. ARGV[3])
end
return 'done'
