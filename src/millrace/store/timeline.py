"""Which decoder version holds when: template versions, overridden by the bindings of a device.

The result is again a list of versions with spans, so whoever decodes knows one rule only.
Source: REG-093.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from millrace.model.device import TemplateVersion


class Binding(NamedTuple):
    """A row of `decoder_bindings`. Units: UTC nanoseconds; None is open."""

    version_id: int
    fw_version: str
    from_ns: int | None
    to_ns: int | None


def decoder_timeline(
    versions: Sequence[TemplateVersion],
    bindings: Sequence[Binding],
    bound: Mapping[int, TemplateVersion],
    fw_version: str,
) -> tuple[TemplateVersion, ...]:
    """Return versions in order of their spans, which do not overlap.

    Shape: `versions` are those of the template, in order of activation; `bound` has the version of
    every binding. Without a binding for this firmware the versions come back as they are.
    """
    mine = [b for b in bindings if _rank(b, fw_version) and b.version_id in bound]
    if not mine:
        return tuple(versions)
    edges = {b.from_ns for b in mine} | {b.to_ns for b in mine}
    edges |= {v.activated_at_ns for v in versions} | {v.retired_at_ns for v in versions}
    starts = [None, *sorted(edge for edge in edges if edge is not None)]
    spans: list[TemplateVersion] = []
    for start, stop in zip(starts, [*starts[1:], None], strict=True):
        version = _bound_at(start, mine, bound, fw_version) or _active_at(start, versions)
        if version is None:
            continue
        if spans and spans[-1].id == version.id and spans[-1].retired_at_ns == start:
            spans[-1] = replace(spans[-1], retired_at_ns=stop)
        else:
            spans.append(replace(version, activated_at_ns=start, retired_at_ns=stop))
    return tuple(spans)


def _bound_at(
    start: int | None,
    bindings: Sequence[Binding],
    bound: Mapping[int, TemplateVersion],
    fw_version: str,
) -> TemplateVersion | None:
    open_ones = [b for b in bindings if _covers(start, b.from_ns, b.to_ns)]
    if not open_ones:
        return None
    best = max(open_ones, key=lambda b: (_rank(b, fw_version), b.from_ns or 0))
    return bound[best.version_id]


def _active_at(start: int | None, versions: Sequence[TemplateVersion]) -> TemplateVersion | None:
    for version in versions:
        if _covers(start, version.activated_at_ns, version.retired_at_ns):
            return version
    first = versions[0] if versions else None
    is_before = first is not None and (start is None or start < (first.activated_at_ns or 0))
    return first if is_before else None


def _covers(start: int | None, from_ns: int | None, to_ns: int | None) -> bool:
    """Whether a span holds at `start`; None stands for all time before the first edge."""
    if start is None:
        return from_ns is None
    return (from_ns is None or from_ns <= start) and (to_ns is None or start < to_ns)


def _rank(binding: Binding, fw_version: str) -> int:
    """Exact match over prefix over any; 0 is no match."""
    pattern = binding.fw_version
    if not pattern:
        return 1
    if pattern.endswith("*"):
        return 2 if fw_version.startswith(pattern[:-1]) else 0
    return 3 if pattern == fw_version else 0
