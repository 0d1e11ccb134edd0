-- Whose sessions others have. ARGV behind the birth: owner. Answers of each session its name, peer, whether
-- it has a connection, and milliseconds until its lease is over.
local found = {}
local now = clock()
local online = redis.call('ZRANGE', 'porter:online', 0, -1, 'WITHSCORES')
for i = 1, #online, 2 do
  local have = redis.call('HMGET', session(online[i]), 'name', 'owner', 'peer', 'attached')
  if have[1] and have[2] ~= ARGV[2] then
    found[#found + 1] = { have[1], have[3] or '', have[4] or '0', tostring(math.max(online[i + 1] - now, 0)) }
  end
end
return found
