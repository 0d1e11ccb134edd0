-- What an origin owes, its time to live. KEYS: debt. ARGV: milliseconds more, most, origin. Answers what is owed now.
local owed = math.max(redis.call('PTTL', KEYS[1]), 0) + ARGV[1]
owed = math.min(owed, tonumber(ARGV[2]))
if owed >= 1 then
  -- For lists: who owes, and until when. First what a full store refuses, and changes nothing.
  redis.call('ZADD', 'porter:debts', 'XX', '0', '')
  local now = clock()
  redis.call('ZREMRANGEBYSCORE', 'porter:debts', '-inf', now)
  redis.call('SET', KEYS[1], '', 'PX', math.floor(owed))
  redis.call('ZADD', 'porter:debts', now + math.floor(owed), ARGV[3])
end
return math.floor(owed)
