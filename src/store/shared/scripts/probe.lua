-- Whether it takes what servers write: the commands of the other scripts, on the keys that all servers share, in a member that is
-- nobody's, and on such as are for nobody. All is left as it was; what removes comes first, so that nothing stays where that
-- is refused, but behind what takes memory: once a script has written, a store that is full lets it go on. Answers 'done', or
-- the first refusal and what was refused.
local refusal
local function try(...)
  if refusal then return end
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err then refusal = reply.err .. ' at ' .. table.concat({ ... }, ' ', 1, 2) end
  return reply
end
for _, key in ipairs({ 'user:', 'look:', 'alike:', 'visitor:', 'debt:', 'token:', 'session:', 'sessions:' }) do
  try('SET', 'porter:' .. key .. '!', '1', 'PX', '1000')
  try('DEL', 'porter:' .. key .. '!')
end
try('MGET', KEYS[1], 'porter:users')
local count = try('GET', 'porter:users')
if type(count) == 'string' and not tonumber(count) then refusal = 'WRONGTYPE no number at GET porter:users' end
for _, command in ipairs({ 'EXISTS', 'INCR', 'DECR', 'PTTL', 'DEL', 'SMEMBERS', 'HKEYS' }) do try(command, 'porter:look:!') end
try('PEXPIRE', 'porter:look:!', '1000')
try('ZRANGE', 'porter:look:!', '0', '-1', 'WITHSCORES')
try('HDEL', 'porter:attached', '!')
try('HINCRBY', 'porter:attached', '!', '1')
try('HSET', 'porter:attached', '!', '1')
try('HGET', 'porter:attached', '!')
try('HMGET', 'porter:attached', '!')
try('HDEL', 'porter:attached', '!')
try('SREM', 'porter:names', '!')
try('SADD', 'porter:names', '!')
try('SCARD', 'porter:names')
try('SREM', 'porter:names', '!')
for _, key in ipairs({ 'porter:online', 'porter:debts' }) do
  try('ZREM', key, '!')
  try('ZADD', key, '1', '!')
  try('ZRANGEBYSCORE', key, '-inf', '1', 'LIMIT', '0', '1')
  try('ZREVRANGE', key, '0', '0', 'WITHSCORES')
  try('ZREM', key, '!')
  try('ZREMRANGEBYSCORE', key, '-inf', '0')
end
for _, channel in ipairs({ 'room', 'server:!' }) do try('PUBLISH', 'porter:' .. channel, '- probe !') end
if refusal then return redis.error_reply(refusal) end
return 'done'
