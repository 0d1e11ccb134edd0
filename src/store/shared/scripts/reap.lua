-- Sessions whose time is over: their owner is dead, or would have renewed them. Answers what the clock shows.
local due = redis.call('ZRANGEBYSCORE', 'porter:online', '-inf', clock(), 'LIMIT', 0, 100)
for _, id in ipairs(due) do drop(id, redis.call('HGET', session(id), 'owner') or '') end
return clock()
