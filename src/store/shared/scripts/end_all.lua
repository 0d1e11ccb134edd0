-- The sessions of a name are over, but for those of whoever asks, who ends them itself. ARGV behind the
-- birth: name, owner, why, and what the user's record must have become for that, a password or a state, or ''. Answers how
-- many; each owner is told, and one that does not hear of it finds the mark.
if ARGV[5] ~= '' then
  local user = redis.call('GET', 'porter:user:' .. ARGV[2])
  local became = ARGV[5] == 'removed'
  if user then
    became = user:sub(1, #ARGV[5] + 1) == ARGV[5] .. ' ' or user:sub(-#ARGV[5] - 1) == ' ' .. ARGV[5]
  end
  if not became then return 0 end
end
local count = 0
for _, id in ipairs(redis.call('SMEMBERS', sessions(ARGV[2]))) do
  local owner = redis.call('HGET', session(id), 'owner')
  if owner ~= ARGV[3] then
    drop(id, '')
    mark(id, '')
    redis.call('PUBLISH', 'porter:server:' .. (owner or '-'), ARGV[4] .. ' ' .. id)
    count = count + 1
  end
end
return count
