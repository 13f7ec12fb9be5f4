"""A registry write: one transaction that takes the next version first and leaves an audit trail.

What is written to the audit log is also how other processes learn which devices to decode anew
(`adapters.fleet_sql`), so these names are fixed. `object_type` and `object_id`:

    device            device_id; `after` may instead be the list of all ids of the write
    connector pin parameter decoder_binding device_config
                      the row's id; before or after holds device_id, controller_id, connector_id
    template template_version data_point
                      the row's id; before or after holds device_template_id (template: its id)
    device_type icon alert_rule
                      the row's id; they do not touch decoding
    registry          anything: all devices are touched

Source: REG-100, REG-101, REG-128.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from millrace.schema.instants import stored_instant
from millrace.schema.tables import Changes, Tables

_encode = msgspec.json.Encoder().encode


class Actor(NamedTuple):
    """Who writes; `kind` is one of user, key, device, system, cli, open."""

    kind: str
    name: str


SYSTEM = Actor("system", "millrace")


class NothingChanged(Exception):  # noqa: N818 - an outcome, not an error
    """Raised inside a registry write to take it back: there was nothing to write (REG-101)."""


@dataclass(frozen=True, slots=True)
class RegistryWrite:
    """A registry write under way. Units: `at` as stored."""

    changes: Changes
    version: int
    at: str
    actor: Actor

    def audit(
        self,
        action: str,
        object_type: str,
        object_id: str,
        *,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | Sequence[str] | None = None,
    ) -> None:
        """Write down what was done; never hand in a secret, a hash or a claiming code."""
        self.changes.change(
            "INSERT INTO audit_log (at, actor_kind, actor, action, object_type, object_id,"
            " before, after, registry_version) VALUES (:at, :kind, :name, :action, :object_type,"
            " :object_id, :before, :after, :version)",
            **self.actor._asdict(), at=self.at, action=action, object_type=object_type,
            object_id=object_id, before=_json(before), after=_json(after), version=self.version,
        )  # fmt: skip


@contextmanager
def registry_write(tables: Tables, *, at_ns: int, actor: Actor = SYSTEM) -> Iterator[RegistryWrite]:
    """Run the body as one registry write.

    Raises:
        RetryError: Busy, away or no space; nothing was written.
        StopError: A rule of the tables forbids it, or the database cannot be trusted any more.
    """
    at = stored_instant(at_ns)
    try:
        with tables.writing() as changes:
            yield RegistryWrite(changes, _next_version(changes, at), at, actor)
    except NothingChanged:
        return


def _next_version(changes: Changes, at: str) -> int:
    """Take the next version first: who waits for its row makes versions dense and in order."""
    [(version,)] = changes.rows(
        "UPDATE registry_version SET version = version + 1, changed_at = :at WHERE id = 1"
        " RETURNING version",
        at=at,
    )
    return int(version)


def _json(value: Mapping[str, Any] | Sequence[str] | None) -> str | None:
    return None if value is None else _encode(value).decode()
