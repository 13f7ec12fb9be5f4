"""What serve needs of the outside, as one value that wiring fills in.

Each port has a thread of its own here, so no two of them may share a connection: `series` is asked
in the query thread, but for what its exports yield, which is fetched in the export thread;
`registry` and `preview` in the look-up thread, `hot`, `rows` and `live` in the thread that follows
the ledger.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from millrace.observe import Metrics
from millrace.ports.accounts import Accounts
from millrace.ports.cache import Cache
from millrace.ports.clock import Clock
from millrace.ports.ledger import HotReadings
from millrace.ports.live import Live, LiveRows
from millrace.ports.registry import Registry
from millrace.ports.series import SeriesQuery

Auth = Literal["open", "required"]

# preview(topic, payload, at_ns, retain): what would become of this message (API-044).
Preview = Callable[[str, bytes, int, bool], dict[str, Any]]

# Returns when the service answers; raises RetryError or StopError when it does not. Thread-safe.
Probe = Callable[[], None]


def _random_key() -> bytes:
    return secrets.token_bytes(32)


@dataclass(frozen=True, slots=True)
class ServeDeps:
    """Ports and settings of one serve process.

    `probes` are named as in MON-005 (log, points, metadata, archive, cache, mqtt). `durability` is
    shown in /health as it is. `cache` takes the documented keys, `accounts` is where the counts
    among them come from. A `cursor_key` that outlives the process keeps cursors valid across
    restarts.
    """

    series: SeriesQuery
    registry: Registry
    hot: HotReadings
    rows: LiveRows
    live: Live
    preview: Preview
    metrics: Metrics
    clock: Clock
    cache: Cache | None = None
    accounts: Accounts | None = None
    probes: Mapping[str, Probe] = field(default_factory=dict)
    version: str = "0"
    mode: str = "embedded"
    auth: Auth = "open"
    durability: Mapping[str, str] = field(default_factory=dict)
    cors_origins: tuple[str, ...] = ()
    cursor_key: bytes = field(default_factory=_random_key)
    query_deadline_s: float = 5.0
    ping_every_s: float = 20.0
