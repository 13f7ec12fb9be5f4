"""Redis behind `live.url`: the shared ring, documented keys, and the news of the registry.

Redis is a cache here and nothing else: whatever is in it can be made again from the ledger, and
every caller goes on without it. `RedisLink` is how all of them ask.
Source: SNS-064, REG-118, reliability.md F29.
"""

from millrace.adapters.live_redis.bulletin import RedisBulletin
from millrace.adapters.live_redis.cache import RedisCache
from millrace.adapters.live_redis.link import RedisLink, RedisTarget
from millrace.adapters.live_redis.ring import RedisLive

__all__ = ["RedisBulletin", "RedisCache", "RedisLink", "RedisLive", "RedisTarget"]
