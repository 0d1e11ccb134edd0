-- Who owes anything, who owes most first. ARGV: how many at most. Answers each origin, and behind it the milliseconds.
local now = clock()
redis.call('ZREMRANGEBYSCORE', 'porter:debts', '-inf', now)
local owing = redis.call('ZREVRANGE', 'porter:debts', '0', ARGV[1] - 1, 'WITHSCORES')
for i = 2, #owing, 2 do owing[i] = owing[i] - now end
return owing
