-- The new token was used: the one before is dead. ARGV behind the birth: session, owner.
local have = redis.call('HMGET', session(ARGV[2]), 'owner', 'previous')
if have[1] == ARGV[3] and have[2] ~= '' then
  redis.call('DEL', token(have[2]))
  redis.call('HSET', session(ARGV[2]), 'previous', '')
end
return 'done'
