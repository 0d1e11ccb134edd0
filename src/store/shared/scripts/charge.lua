-- What an origin owes, its time to live. KEYS: debt. ARGV: milliseconds more, most. Answers what is owed now.
local owed = math.max(redis.call('PTTL', KEYS[1]), 0) + ARGV[1]
owed = math.min(owed, tonumber(ARGV[2]))
if owed >= 1 then redis.call('SET', KEYS[1], '', 'PX', math.floor(owed)) end
return math.floor(owed)
