-- Sessions whose time is over: their owner is dead, or would have renewed them.
local due = redis.call('ZRANGEBYSCORE', 'porter:online', '-inf', clock(), 'LIMIT', 0, 100)
for _, id in ipairs(due) do drop(id) end
return #due
