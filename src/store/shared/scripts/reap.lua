-- Sessions whose time is over: their owner is dead, or would have renewed them. Answers what the clock shows.
-- What a full store refuses, and changes nothing: nobody could renew anything there.
redis.call('ZADD', 'porter:online', 'XX', '0', '')
local due = redis.call('ZRANGEBYSCORE', 'porter:online', '-inf', clock(), 'LIMIT', 0, 100)
for _, id in ipairs(due) do
  local have = redis.pcall('HMGET', session(id), 'owner')
  -- Something else is there: that is nobody's session.
  if have.err then redis.call('ZREM', 'porter:online', id) else drop(id, have[1] or '') end
end
return clock()
