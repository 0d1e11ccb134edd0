-- What the scripts about sessions have in common; one of them follows.
local function session(id) return 'porter:session:' .. id end
local function token(hash) return 'porter:token:' .. hash end
local function sessions(name) return 'porter:sessions:' .. name end
local function tell(what, name) redis.call('PUBLISH', 'porter:room', '- ' .. what .. ' ' .. name) end
-- Whether a session has a connection: a name is online as long as any of its sessions has one.
local function attach(id, name, attached)
  local was = redis.call('HGET', session(id), 'attached') == '1'
  if was == (attached == '1') then return end
  redis.call('HSET', session(id), 'attached', attached)
  local count = redis.call('HINCRBY', 'porter:attached', name, attached == '1' and 1 or -1)
  if attached == '1' and count == 1 then tell('here', name) end
  if count < 1 then
    redis.call('HDEL', 'porter:attached', name)
    tell('gone', name)
  end
end
local function keep(id, name, owner, hash, previous, generation, lease, attached, peer)
  redis.call('HSET', session(id), 'name', name, 'owner', owner, 'peer', peer)
  redis.call('HSET', session(id), 'hash', hash, 'previous', previous, 'generation', generation)
  redis.call('SET', token(hash), id)
  if previous ~= '' then redis.call('SET', token(previous), id) end
  redis.call('ZADD', 'porter:online', clock() + lease, id)
  if redis.call('SADD', sessions(name), id) == 1 and redis.call('SCARD', sessions(name)) == 1 then
    redis.call('SADD', 'porter:names', name)
    tell('joined', name)
  end
  attach(id, name, attached)
end
-- What is left of a session for ten minutes: owners that were cut off find that it is over, but for the one, if any, that may
-- say that it goes on.
local function mark(id, heir)
  redis.call('HSET', session(id), 'owner', '!', 'heir', heir)
  redis.call('PEXPIRE', session(id), 600000)
end
local function drop(id, heir)
  redis.call('ZREM', 'porter:online', id)
  local have = redis.call('HMGET', session(id), 'name', 'hash', 'previous', 'moved')
  if not have[1] then return end
  attach(id, have[1], '0')
  redis.call('DEL', session(id), token(have[2]))
  -- Another server has had it, and may not have heard that it has not any more.
  if have[4] then mark(id, heir) end
  if have[3] ~= '' then redis.call('DEL', token(have[3])) end
  redis.call('SREM', sessions(have[1]), id)
  if redis.call('SCARD', sessions(have[1])) == 0 then
    redis.call('SREM', 'porter:names', have[1])
    tell('left', have[1])
  end
end
