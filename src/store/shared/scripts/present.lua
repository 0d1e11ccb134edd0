-- Who is here. KEYS: birth. ARGV: the birth that is known. Answers the names that have sessions, and those that are online.
return { redis.call('SMEMBERS', 'porter:names'), redis.call('HKEYS', 'porter:attached') }
