-- An origin owes nothing any more, at no server. KEYS: debt. ARGV: the server that says so, origin.
redis.call('DEL', KEYS[1])
redis.call('ZREM', 'porter:debts', ARGV[2])
redis.call('PUBLISH', 'porter:room', ARGV[1] .. ' forgiven ' .. ARGV[2])
return 'done'
