-- A session is over. KEYS: birth. ARGV: the birth that is known, session, owner.
if redis.call('HGET', session(ARGV[2]), 'owner') == ARGV[3] then drop(ARGV[2]) end
return 'done'
