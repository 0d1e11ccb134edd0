-- An owner's word on its sessions. KEYS: birth. ARGV: the birth that is known, owner, and of each session its id, name, hash of
-- the token, of the previous one or '', lease in milliseconds, and whether the store may not know the tokens. Answers those that
-- are somebody else's by now, or ended.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'emptied' end
local gone = {}
for i = 3, #ARGV, 6 do
  local owner = redis.call('HGET', session(ARGV[i]), 'owner')
  if owner == ARGV[2] and ARGV[i + 5] == '' then
    -- Its tokens may be newer than those here: an answer to a resume is under way.
    redis.call('ZADD', 'porter:online', clock() + ARGV[i + 4], ARGV[i])
  elseif not owner or owner == ARGV[2] then
    -- It was lost with the store's last words, or was taken for dead while its owner was cut off.
    if owner then drop(ARGV[i]) end
    keep(ARGV[i], ARGV[i + 1], ARGV[2], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4])
  else
    gone[#gone + 1] = ARGV[i]
  end
end
return gone
