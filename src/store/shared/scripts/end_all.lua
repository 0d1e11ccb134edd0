-- The sessions of a name are over, but for those of whoever asks, who ends them itself. ARGV behind the
-- birth: name, owner, why. Answers how many; each owner is told, and one that does not hear of it finds the mark.
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
