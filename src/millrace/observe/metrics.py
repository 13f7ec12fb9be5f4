"""Metrics: every name and every documented label value.

A process exports one registry. `Metrics(roles)` makes all groups, but only those of the roles that
run in this process are registered: the others can be counted into and are never shown, so that a
fact is exported by the process that owns it (MON-020). Known label sets start at 0 (MON-021);
a value outside the documented ones becomes `other`, an unknown family `generic` (MON-022).
Source: monitoring.md 2.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder

FAMILIES = ("f2", "meter", "sensors", "generic")
CATEGORIES = (
    "telemetry", "hello", "status", "command_ack", "ota_status", "sensor", "stat", "tele",
    "cmnd", "other",
)  # fmt: skip
TRANSPORTS = ("mqtt", "http", "redrive")
DUPLICATE_KINDS = ("seq", "redelivery", "retained")
SHED_REASONS = ("queue_full", "disk_low", "rate_limit")
LETTER_REASONS = (
    "too_large", "empty_payload", "not_utf8", "bad_json", "bad_root", "bad_topic",
    "bad_device_id", "bad_measurements", "too_many_measurements", "bad_status", "bad_ack",
    "bad_ota", "no_value", "limit", "unknown_topic", "unknown_device", "registration_limit",
    "identity_mismatch", "decommissioned", "decoder_error", "store_rejected",
    "other",
)  # fmt: skip
ELEMENT_REASONS = (
    "not_object", "missing_type", "missing_value", "bad_type", "bad_value", "not_finite",
    "bad_time", "time_range", "empty_element", "cardinality", "unmapped", "bad_hex",
    "short_frame", "bad_encoding",
    "other",
)  # fmt: skip
FLAGS = (
    "bad_seq", "bad_unit", "clock", "crc", "id_mismatch", "oversize", "range", "seq_conflict",
    "seq_stale", "unmapped",
)  # fmt: skip
STORES = ("points", "metadata", "archive")
STORE_ERRORS = ("connection", "timeout", "rejected", "disk_full", "other")
QUERY_OPS = ("range", "latest", "aggregate", "list", "get")
LOOKUP_RESULTS = ("hit", "miss", "negative", "error")
CACHE_RESULTS = ("hit", "miss", "error")
FRAME_TYPES = ("points", "alert", "event", "gap", "ping")
AUTH_KINDS = ("password", "token", "key", "scope")
RATE_CLASSES = ("read", "write", "login", "ingest", "export")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "other")
ROLES = ("edge", "core", "serve")

T1 = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
T2 = (*T1, 30.0, 60.0, 300.0, 3600.0)
B1 = (64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304)
BATCH_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)


def allowed(value: str, values: Sequence[str], otherwise: str = "other") -> str:
    """Return a label value if it is one of the documented ones, else what stands for the rest."""
    return value if value in values else otherwise


class _Maker:
    """Makes metrics of one role; without a registry they count and are never exported."""

    def __init__(self, registry: CollectorRegistry | None) -> None:
        self._registry = registry

    def counter(self, name: str, text: str, **labels: Sequence[str]) -> Counter:
        made = Counter(f"millrace_{name}", text, tuple(labels), registry=self._registry)
        self._fill(made, labels)
        return made

    def gauge(self, name: str, text: str, **labels: Sequence[str]) -> Gauge:
        made = Gauge(f"millrace_{name}", text, tuple(labels), registry=self._registry)
        self._fill(made, labels)
        return made

    def histogram(
        self, name: str, text: str, buckets: Sequence[float], **labels: Sequence[str]
    ) -> Histogram:
        made = Histogram(
            f"millrace_{name}", text, tuple(labels), registry=self._registry, buckets=buckets
        )
        self._fill(made, labels)
        return made

    def _fill(self, made: Counter | Gauge | Histogram, labels: Mapping[str, Sequence[str]]) -> None:
        # An unregistered group is never shown, so its children are made when they are counted.
        if labels and self._registry is not None:
            for values in itertools.product(*labels.values()):
                made.labels(*values)


class EdgeMetrics:
    """What ingest owns: messages as they are taken, the log's writing end, the MQTT link."""

    def __init__(self, registry: CollectorRegistry | None) -> None:
        make = _Maker(registry)
        self.received = make.counter(  # MON-101
            "messages_received", "Messages taken from a transport.",
            family=FAMILIES, category=CATEGORIES, transport=TRANSPORTS,
        )  # fmt: skip
        self.shed = make.counter(  # MON-106
            "messages_shed", "QoS 0 messages refused under pressure.",
            family=FAMILIES, reason=SHED_REASONS,
        )  # fmt: skip
        self.bytes = make.counter(  # MON-110
            "ingest_bytes", "Payload bytes received.", family=FAMILIES, transport=TRANSPORTS
        )
        self.payload_size = make.histogram(  # MON-111
            "payload_bytes", "Payload size.", B1, family=FAMILIES
        )
        self.ack_latency = make.histogram(  # MON-113
            "ack_latency_seconds", "Packet read to acknowledgement sent.", T1, transport=TRANSPORTS
        )
        self.append_duration = make.histogram(  # MON-114
            "log_append_duration_seconds", "Log append, fsync included.", T1
        )
        self.batch_messages = make.histogram(  # MON-115
            "log_batch_messages", "Messages per log commit.", BATCH_SIZES
        )
        self.log_end = make.gauge("log_end_offset", "Next offset.", partition=())  # MON-116
        self.log_bytes = make.gauge("log_bytes", "Size of the log on disk.")  # MON-117
        self.backpressure = make.gauge(  # MON-121
            "backpressure_active", "1 while reading is paused.", transport=TRANSPORTS
        )
        self.mqtt_connected = make.gauge(  # MON-122
            "mqtt_connected", "1 while the session is up.", link=("own",)
        )
        self.mqtt_clients = make.gauge("mqtt_clients", "Connected MQTT clients.")  # MON-123
        self.mqtt_auth_failures = make.counter(  # MON-124
            "mqtt_auth_failures", "Refused CONNECT or ACL denials."
        )


class CoreMetrics:
    """What the pump and tend own: outcomes, positions, decoding, writing and archiving."""

    def __init__(self, registry: CollectorRegistry | None) -> None:
        make = _Maker(registry)
        self._outcomes(make)
        self._positions(make)
        self._readings(make)
        self._stores(make)

    def _outcomes(self, make: _Maker) -> None:
        self.stored = make.counter(  # MON-102
            "messages_stored", "Messages with outcome stored.",
            family=FAMILIES, category=CATEGORIES,
        )  # fmt: skip
        self.duplicate = make.counter(  # MON-103
            "messages_duplicate", "Messages with outcome duplicate.",
            family=FAMILIES, kind=DUPLICATE_KINDS,
        )  # fmt: skip
        self.dead_letter = make.counter(  # MON-104
            "messages_dead_letter", "Messages with outcome dead_letter.",
            family=FAMILIES, reason=LETTER_REASONS,
        )  # fmt: skip
        self.in_flight = make.gauge(  # MON-105
            "messages_in_flight", "Messages in the log that are not yet final.", family=FAMILIES
        )
        self.accounting_difference = make.gauge(  # MON-107
            "accounting_difference", "Received minus the sum of the outcomes.", family=FAMILIES
        )
        self.elements_dead_letter = make.counter(  # MON-108
            "elements_dead_letter", "Bad elements of stored messages.",
            family=FAMILIES, reason=ELEMENT_REASONS,
        )  # fmt: skip
        self.empty = make.counter(  # MON-109
            "messages_empty", "Messages stored without readings.", family=FAMILIES
        )

    def _positions(self, make: _Maker) -> None:
        self.publish_to_stored = make.histogram(  # MON-112
            "publish_to_stored_seconds", "Receive time to commit.", T2, family=FAMILIES
        )
        self.offset = make.gauge(  # MON-118
            "consumer_offset", "Committed offset.", reader=(), partition=()
        )
        self.lag = make.gauge(  # MON-119
            "consumer_lag", "End of the log minus the committed offset.", reader=(), partition=()
        )
        self.lag_seconds = make.gauge(  # MON-120
            "consumer_lag_seconds", "Age of the oldest unprocessed message.",
            reader=(), partition=(),
        )  # fmt: skip

    def _readings(self, make: _Maker) -> None:
        self.decode_duration = make.histogram(  # MON-125
            "decode_duration_seconds", "Decoding one message.", T1, family=FAMILIES
        )
        self.points_written = make.counter(  # MON-126
            "points_written", "Readings committed.", family=FAMILIES
        )
        self.points_overwritten = make.counter(  # MON-127
            "points_overwritten", "Readings that replaced another one.", family=FAMILIES
        )
        self.points_flagged = make.counter(  # MON-128
            "points_flagged", "Readings by quality flag.", flag=FLAGS
        )
        self.points_derived = make.counter(  # MON-129
            "points_derived", "Derived readings.", family=FAMILIES
        )
        self.energy_skipped = make.counter(  # MON-130
            "energy_skipped_seconds", "Seconds that were not integrated."
        )
        self.lookups = make.counter(  # MON-131
            "metadata_lookups", "Look-ups of device metadata.",
            family=FAMILIES, result=LOOKUP_RESULTS,
        )  # fmt: skip

    def _stores(self, make: _Maker) -> None:
        self.store_ready = make.gauge(  # MON-132
            "store_ready", "1 while the probe of the store succeeds.", store=STORES
        )
        self.store_write_duration = make.histogram(  # MON-133
            "store_write_duration_seconds", "Writing one batch.", T1, store=STORES
        )
        self.store_errors = make.counter(  # MON-134
            "store_errors", "Failed batches.", store=STORES, error=STORE_ERRORS
        )
        self.archive_objects = make.counter(  # MON-139
            "archive_objects", "Archive objects completed.", layout=("message", "device", "lake")
        )
        self.archive_bytes = make.counter(  # MON-140
            "archive_bytes", "Bytes of completed archive objects.",
            layout=("message", "device", "lake"),
        )  # fmt: skip
        self.sequence_missing = make.counter(  # MON-143
            "sequence_missing", "Missing sequence numbers.", family=FAMILIES
        )
        self.sequence_filled = make.counter(  # MON-144
            "sequence_filled", "Sequence numbers filled later.", family=FAMILIES
        )
        self.sequence_gaps_open = make.gauge(  # MON-145
            "sequence_gaps_open", "Devices with an open gap.", family=FAMILIES
        )
        self.sequence_resets = make.counter(  # MON-146
            "sequence_resets", "Sequence epochs begun.", reason=("reboot", "jump")
        )


class ServeMetrics:
    """What serve owns: requests, queries, live connections."""

    def __init__(self, registry: CollectorRegistry | None) -> None:
        make = _Maker(registry)
        self.query_duration = make.histogram(  # MON-135
            "query_duration_seconds", "Reads for the API.", T1,
            store=("points", "metadata"), op=QUERY_OPS,
        )  # fmt: skip
        self.requests = make.counter(  # MON-160
            "http_requests", "API requests.", method=(), route=(), status=()
        )
        self.request_duration = make.histogram(  # MON-161
            "http_request_duration_seconds", "Until the last byte.", T1,
            method=(), route=(), status=(),
        )  # fmt: skip
        self.in_flight = make.gauge("http_in_flight", "Running requests.")  # MON-162
        self.rate_limited = make.counter(  # MON-163
            "http_rate_limited", "429 answers.", **{"class": RATE_CLASSES}
        )
        self.auth_failures = make.counter(  # MON-164
            "auth_failures", "401 and 403 answers.", kind=AUTH_KINDS
        )
        self.ws_connections = make.gauge("ws_connections", "Live connections.")  # MON-165
        self.ws_frames = make.counter(  # MON-166
            "ws_frames", "Frames sent.", type=FRAME_TYPES
        )
        self.ws_dropped = make.counter("ws_dropped", "Frames replaced by a gap.")  # MON-167


class Metrics:
    """All metrics of one process; only the groups of its roles are exported."""

    def __init__(
        self, roles: Iterable[str] = ROLES, *, version: str = "", mode: str = "embedded"
    ) -> None:
        # The `_created` series would double what is exported and stored, for nobody.
        keep_quiet: Callable[[], None] = prometheus_client.disable_created_metrics
        keep_quiet()
        self.registry = CollectorRegistry(auto_describe=False)
        mine = frozenset(roles)
        self.edge = EdgeMetrics(self.registry if "edge" in mine else None)
        self.core = CoreMetrics(self.registry if "core" in mine else None)
        self.serve = ServeMetrics(self.registry if "serve" in mine else None)
        self._cache(self.registry if mine & {"core", "serve"} else None)
        self._process(version, mode)

    def _cache(self, registry: CollectorRegistry | None) -> None:
        make = _Maker(registry)
        self.cache_requests = make.counter(  # MON-138
            "cache_requests", "Requests to the cache, by core and serve.", result=CACHE_RESULTS
        )

    def _process(self, version: str, mode: str) -> None:
        make = _Maker(self.registry)
        self.health_checks = make.counter(  # MON-176
            "health_checks", "Probes.", check=(), status=()
        )
        self.health_check_duration = make.histogram(  # MON-177
            "health_check_duration_seconds", "Probe time.", T1, check=()
        )
        build = make.gauge("build_info", "Build.", version=(), mode=())  # MON-178
        build.labels(version, mode).set(1)
        started = make.gauge("start_time_seconds", "Process start.")  # MON-179
        started.set_to_current_time()
        prometheus_client.ProcessCollector(registry=self.registry)  # MON-180
        prometheus_client.PlatformCollector(registry=self.registry)
        prometheus_client.GCCollector(registry=self.registry)

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """Return the text of a scrape and its content type, by the `Accept` header (MON-011)."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type
