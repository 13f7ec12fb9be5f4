"""A fleet that asks the shared cache before the registry.

    fleet    when the cache may answer, and what becomes of its answers
    entries  profiles as the documented keys and values, and back
    floors   from which version on an answer counts

Only F2 controllers are cached, as documented: their profile takes many rows. That of any other
device is one row, which the registry finds as fast.
Source: REG-110 to REG-118.
"""

from millrace.adapters.fleet_cached.entries import Lifetimes
from millrace.adapters.fleet_cached.fleet import CachedFleet, SharedLevel

__all__ = ["CachedFleet", "Lifetimes", "SharedLevel"]
