-- Who is here. Answers the names that have sessions, and those that are online.
return { redis.call('SMEMBERS', 'porter:names'), redis.call('HKEYS', 'porter:attached') }
