-- Before every script but those of debts. KEYS[1]: the mark that was made at `store init`. ARGV[1]: what it was when this server
-- started. A store in which it is another keeps somebody else's users, or nobody's any more. The last of ARGV: until when, in
-- milliseconds since 1970, whoever asks waits for it, or ''. What is carried out later, after a stop of the store or on a
-- connection that was given up, would undo what was done since.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return redis.error_reply('EMPTIED porter:birth is another') end
local deadline = table.remove(ARGV)
if deadline ~= '' and clock() >= tonumber(deadline) then return redis.error_reply('LATE nobody waits for it any more') end
