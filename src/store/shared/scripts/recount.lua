-- Who is here, counted anew by the sessions that there are: what was refused, or removed by somebody, may have left it untrue.
-- Who reads along is told of what was.
local counts, names, online = {}, {}, {}
for _, id in ipairs(redis.call('ZRANGE', 'porter:online', 0, -1)) do
  online[id] = true
  local have = redis.pcall('HMGET', session(id), 'name', 'attached')
  if have[1] then
    counts[have[1]] = (counts[have[1]] or 0) + (have[2] == '1' and 1 or 0)
    names[#names + 1] = have[1]
    list(id, have[1])
  end
end
for _, name in ipairs(redis.call('SMEMBERS', 'porter:names')) do
  for _, id in ipairs(redis.pcall('SMEMBERS', sessions(name))) do
    if not online[id] then redis.call('SREM', sessions(name), id) end
  end
  if not counts[name] then
    redis.call('SREM', 'porter:names', name)
    tell('left', name)
  end
end
for _, name in ipairs(redis.call('HKEYS', 'porter:attached')) do
  if (counts[name] or 0) == 0 then
    redis.call('HDEL', 'porter:attached', name)
    tell('gone', name)
  end
end
for _, name in ipairs(names) do
  if counts[name] > 0 then
    if not redis.call('HGET', 'porter:attached', name) then tell('here', name) end
    redis.call('HSET', 'porter:attached', name, counts[name])
  end
end
return 'done'
