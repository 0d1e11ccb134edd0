-- Who owes anything, who owes most first. ARGV: how many at most. Answers each origin, and behind it the milliseconds.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', 'porter:debts', '-inf', now)
local owing = redis.call('ZREVRANGE', 'porter:debts', '0', ARGV[1] - 1, 'WITHSCORES')
for i = 2, #owing, 2 do owing[i] = owing[i] - now end
return owing
