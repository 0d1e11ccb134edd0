-- What the scripts about sessions have in common; one of them follows.
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function session(id) return 'porter:session:' .. id end
local function token(hash) return 'porter:token:' .. hash end
local function sessions(name) return 'porter:sessions:' .. name end
local function keep(id, name, owner, hash, previous, lease)
  redis.call('HSET', session(id), 'name', name, 'owner', owner, 'hash', hash, 'previous', previous)
  redis.call('SET', token(hash), id)
  if previous ~= '' then redis.call('SET', token(previous), id) end
  redis.call('ZADD', 'porter:online', clock() + lease, id)
  redis.call('SADD', sessions(name), id)
end
local function drop(id)
  redis.call('ZREM', 'porter:online', id)
  local have = redis.call('HMGET', session(id), 'name', 'hash', 'previous')
  if not have[1] then return end
  redis.call('DEL', session(id), token(have[2]))
  if have[3] ~= '' then redis.call('DEL', token(have[3])) end
  redis.call('SREM', sessions(have[1]), id)
end
