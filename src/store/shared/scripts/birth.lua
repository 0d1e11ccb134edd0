-- Before every script that writes. KEYS[1]: the mark that was made at `store init`. ARGV[1]: what it was when this server
-- started. A store in which it is another keeps somebody else's users, or nobody's any more.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return redis.error_reply('EMPTIED porter:birth is another') end
