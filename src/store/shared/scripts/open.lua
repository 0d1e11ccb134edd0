-- A login. KEYS behind the birth: user. ARGV behind the birth: the password that was verified, session, name, owner, hash of
-- the token, lease in milliseconds, peer.
local user = redis.call('GET', KEYS[2])
-- It may have been changed or disabled since it was fetched.
if not user or user:sub(1, #ARGV[2] + 1) ~= ARGV[2] .. ' ' or user:sub(-7) ~= ' active' then return 'changed' end
keep(ARGV[3], ARGV[4], ARGV[5], ARGV[6], '', 1, ARGV[7], '1', ARGV[8])
return 'done'
