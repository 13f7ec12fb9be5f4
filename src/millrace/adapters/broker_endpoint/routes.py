"""Who gets a topic: subscriptions, shared groups, and the answers remembered by topic.

A route is worked out once per topic and kept until any subscription changes. `quiet` holds the
topics that nobody subscribes to: telemetry of ten thousand devices is passed over with one look.
Source: MQTT 5.0, 3.8.4 and 4.8.2; D-42.
"""

from dataclasses import dataclass

from millrace.adapters.broker_endpoint.records import SubscriptionRecord
from millrace.adapters.broker_endpoint.session import Session
from millrace.mqtt.topics import TopicTree, parse_shared

REMEMBERED_MAX = 262_144
# Longer names are looked up every time: a memory of names must not be a way to fill memory (F41)
REMEMBERED_CHARS = 256


@dataclass(frozen=True, slots=True)
class Target:
    """One session that gets a topic; overlapping subscriptions are one target."""

    session: Session
    qos: int
    retain_as_published: bool
    no_local: bool
    identifiers: tuple[int, ...]


@dataclass(eq=False, slots=True)
class Plain:
    """A subscription of one session in the tree."""

    session: Session
    record: SubscriptionRecord


@dataclass(eq=False, slots=True)
class Group:
    """A shared subscription: its members take turns."""

    members: dict[Session, SubscriptionRecord]
    turn: int = 0

    def choose(self) -> Target | None:
        """Return the member whose turn it is: connected ones first, else one that will return."""
        sessions = list(self.members)
        self.turn += 1
        away: Session | None = None
        for step in range(len(sessions)):
            session = sessions[(self.turn + step) % len(sessions)]
            if session.peer is not None and not session.peer.is_full:
                return _target(session, self.members[session])
            away = away or session
        return _target(away, self.members[away]) if away else None


def _target(session: Session, record: SubscriptionRecord) -> Target:
    identifiers = (record.identifier,) if record.identifier else ()
    return Target(session, record.qos, record.retain_as_published, record.no_local, identifiers)


@dataclass(frozen=True, slots=True)
class Route:
    """Everybody who gets a topic."""

    targets: tuple[Target, ...]
    groups: tuple[Group, ...]


NOBODY = Route((), ())


class Routes:
    """All subscriptions of all sessions."""

    def __init__(self) -> None:
        self._tree: TopicTree[Plain | Group] = TopicTree()
        self._plain: dict[tuple[Session, str], Plain] = {}
        self._groups: dict[tuple[str | None, str], Group] = {}
        self._known: dict[str, Route] = {}
        self.quiet: set[str] = set()
        self.durable = 0

    def _forget(self, plain: str) -> None:
        """Drop the answers that a change of a filter may concern."""
        if "+" in plain or "#" in plain:
            self._known.clear()
            self.quiet.clear()
        else:
            self._known.pop(plain, None)
            self.quiet.discard(plain)

    def add(self, session: Session, record: SubscriptionRecord) -> bool:
        """Add or replace a subscription; return whether it did not exist."""
        name = record.topic_filter
        is_new = name not in session.subscriptions
        session.subscriptions[name] = record
        self.durable += is_new and session.is_durable
        group_name, plain = parse_shared(name)
        if group_name is not None:
            self._join(group_name, plain, session, record)
        elif is_new:
            entry = self._plain[session, name] = Plain(session, record)
            self._tree.add(name, entry)
        else:
            self._plain[session, name].record = record
        self._forget(plain)
        return is_new

    def _join(
        self, group_name: str, plain: str, session: Session, record: SubscriptionRecord
    ) -> None:
        group = self._groups.get((group_name, plain))
        if group is None:
            group = self._groups[group_name, plain] = Group({})
            self._tree.add(plain, group)
        group.members[session] = record

    def remove(self, session: Session, name: str) -> bool:
        """Remove a subscription; return whether there was one."""
        if session.subscriptions.pop(name, None) is None:
            return False
        self.durable -= session.is_durable
        shared = parse_shared(name)
        if shared[0] is None:
            self._tree.remove(name, self._plain.pop((session, name)))
        else:
            group = self._groups[shared]
            del group.members[session]
            if not group.members:
                del self._groups[shared]
                self._tree.remove(shared[1], group)
        self._forget(shared[1])
        return True

    def remove_all(self, session: Session) -> None:
        """Remove all subscriptions of a session."""
        for name in list(session.subscriptions):
            self.remove(session, name)

    def find(self, topic: str) -> Route:
        """Return who gets a topic."""
        route = self._known.get(topic)
        if route is None:
            if len(self._known) + len(self.quiet) > REMEMBERED_MAX:
                self._forget("#")
            route = self._plan(topic)
            if len(topic) > REMEMBERED_CHARS:
                return route
            if route is NOBODY:
                self.quiet.add(topic)
            else:
                self._known[topic] = route
        return route

    def is_quiet(self, topic: str) -> bool:
        """Return whether nobody gets a topic."""
        return topic in self.quiet or self.find(topic) is NOBODY

    def _plan(self, topic: str) -> Route:
        found = self._tree.match(topic)
        if not found:
            return NOBODY
        merged: dict[Session, Target] = {}
        groups: list[Group] = []
        for entry in found:
            if isinstance(entry, Group):
                groups.append(entry)
                continue
            session, target = entry.session, _target(entry.session, entry.record)
            merged[session] = _merge(merged[session], target) if session in merged else target
        return Route(tuple(merged.values()), tuple(groups))


def _merge(one: Target, two: Target) -> Target:
    """Return one target for two subscriptions of a session that overlap."""
    return Target(
        one.session,
        max(one.qos, two.qos),
        one.retain_as_published or two.retain_as_published,
        one.no_local and two.no_local,
        one.identifiers + two.identifiers,
    )
