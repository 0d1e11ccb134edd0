-- Somebody is back. ARGV behind the birth: hash of the presented token, hash of the new one, owner, lease
-- in milliseconds, peer. Answers the session and its name, and tells who had it.
local id = redis.call('GET', token(ARGV[2]))
local have = id and redis.call('HMGET', session(id), 'name', 'owner', 'hash', 'previous')
if not have or not have[1] then return 'unknown' end
if have[3] ~= ARGV[3] then
  if have[3] ~= ARGV[2] and have[4] ~= ARGV[2] then return 'unknown' end
  -- The presented one stays good once more; any other is dead.
  if have[3] ~= ARGV[2] then redis.call('DEL', token(have[3])) end
  if have[4] ~= '' and have[4] ~= ARGV[2] then redis.call('DEL', token(have[4])) end
  keep(id, have[1], ARGV[4], ARGV[3], ARGV[2], ARGV[5], '1', ARGV[6])
  if have[2] ~= ARGV[4] then redis.call('PUBLISH', 'porter:server:' .. have[2], 'moved ' .. id) end
end
return { id, have[1] }
