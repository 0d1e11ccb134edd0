-- An owner's word on its sessions. ARGV behind the birth: owner, and of each session its id, name, hash of
-- the token, of the previous one or '', which of its tokens this is, lease in milliseconds, whether the store may not know the
-- tokens, whether it has a connection, and peer. Answers those that are somebody else's by now, or
-- ended, behind why, where that is known.
local gone = {}
for i = 3, #ARGV, 9 do
  local have = redis.pcall('HMGET', session(ARGV[i]), 'owner', 'hash', 'previous', 'heir', 'generation')
  if have.err then
    -- Something else is there, which costs the others of this word nothing.
    have = { '?' }
  end
  if have[1] == '!' and have[4] == ARGV[2] then
    redis.call('DEL', session(ARGV[i]))
    have[1] = false
  end
  local is_newer = tonumber(have[5] or 0) > tonumber(ARGV[i + 4])
  if (not have[1] or have[1] == ARGV[2]) and not is_active(ARGV[i + 1]) then
    -- Its user was removed or disabled by somebody who could not end it, or while its owner was cut off.
    if have[1] then drop(ARGV[i], '') end
    gone[#gone + 1] = (redis.call('GET', 'porter:user:' .. ARGV[i + 1]) and 'disabled ' or 'removed ') .. ARGV[i]
  elseif have[1] == ARGV[2] and (ARGV[i + 6] == '' or is_newer) then
    -- Where the tokens are newer than those here an answer to a resume is under way.
    redis.call('ZADD', 'porter:online', clock() + ARGV[i + 5], ARGV[i])
    attach(ARGV[i], ARGV[i + 1], ARGV[i + 7])
    list(ARGV[i], ARGV[i + 1])
  elseif not have[1] or have[1] == ARGV[2] then
    -- It was lost with the store's last words, or was taken for dead while its owner was cut off.
    if have[1] then
      redis.call('DEL', token(have[2]))
      if have[3] ~= '' then redis.call('DEL', token(have[3])) end
    end
    keep(ARGV[i], ARGV[i + 1], ARGV[2], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5], ARGV[i + 7], ARGV[i + 8])
  else
    gone[#gone + 1] = ARGV[i]
  end
end
return gone
