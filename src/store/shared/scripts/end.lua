-- A session is over. ARGV behind the birth: session, owner.
if redis.call('HGET', session(ARGV[2]), 'owner') == ARGV[3] then drop(ARGV[2], '') end
return 'done'
