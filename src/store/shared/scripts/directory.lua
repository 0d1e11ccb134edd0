-- What the scripts about sessions have in common; one of them follows.
local function session(id) return 'porter:session:' .. id end
local function token(hash) return 'porter:token:' .. hash end
local function sessions(name) return 'porter:sessions:' .. name end
local function tell(what, name) redis.call('PUBLISH', 'porter:room', '- ' .. what .. ' ' .. name) end
local function is_active(name) return (redis.call('GET', 'porter:user:' .. name) or ''):sub(-7) == ' active' end
-- Whether a session has a connection: a name is online as long as any of its sessions has one.
local function attach(id, name, attached)
  local was = redis.call('HGET', session(id), 'attached') == '1'
  -- Somebody may have removed the count: who is here is here.
  local is_counted = not was or redis.call('HGET', 'porter:attached', name)
  if was == (attached == '1') and is_counted then return end
  local count = redis.call('HINCRBY', 'porter:attached', name, attached == '1' and 1 or -1)
  redis.call('HSET', session(id), 'attached', attached)
  if attached == '1' and count == 1 then tell('here', name) end
  if count < 1 then
    redis.call('HDEL', 'porter:attached', name)
    tell('gone', name)
  end
end
-- A session is among those of its name, and the name among those that have any.
local function list(id, name)
  redis.call('SADD', sessions(name), id)
  if redis.call('SADD', 'porter:names', name) == 1 then tell('joined', name) end
end
local function keep(id, name, owner, hash, previous, generation, lease, attached, peer)
  -- First what may be refused though the rest is not: what was done before would stay done. Behind the lease all is reaped.
  redis.call('ZADD', 'porter:online', clock() + lease, id)
  list(id, name)
  redis.call('HSET', session(id), 'name', name, 'owner', owner, 'peer', peer)
  redis.call('HSET', session(id), 'hash', hash, 'previous', previous, 'generation', generation)
  redis.call('SET', token(hash), id)
  if previous ~= '' then redis.call('SET', token(previous), id) end
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
  redis.pcall('SREM', sessions(have[1]), id)
  local left = redis.pcall('SCARD', sessions(have[1]))
  -- Where something else is there nobody of that name has a session.
  if left == 0 or type(left) == 'table' then
    redis.call('SREM', 'porter:names', have[1])
    tell('left', have[1])
  end
end
