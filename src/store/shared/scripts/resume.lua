-- Somebody is back. ARGV behind the birth: hash of the presented token, hash of the new one, owner, lease
-- in milliseconds, peer. Answers the session, its name and which of its tokens this is, and tells who had it.
local id = redis.call('GET', token(ARGV[2]))
local have = id and redis.call('HMGET', session(id), 'name', 'owner', 'hash', 'previous', 'generation')
if not have or not have[1] then return 'unknown' end
-- Its user may have been removed or disabled by somebody who could not end it.
if not is_active(have[1]) then return 'unknown' end
local generation = tonumber(have[5] or 0)
if have[3] ~= ARGV[3] then
  generation = generation + 1
  if have[3] ~= ARGV[2] and have[4] ~= ARGV[2] then return 'unknown' end
  -- The presented one stays good once more; any other is dead.
  if have[3] ~= ARGV[2] then redis.call('DEL', token(have[3])) end
  if have[4] ~= '' and have[4] ~= ARGV[2] then redis.call('DEL', token(have[4])) end
  keep(id, have[1], ARGV[4], ARGV[3], ARGV[2], generation, ARGV[5], '1', ARGV[6])
  if have[2] ~= ARGV[4] then
    redis.call('HSET', session(id), 'moved', '1')
    redis.call('PUBLISH', 'porter:server:' .. have[2], 'moved ' .. id)
  end
end
return { id, have[1], generation }
