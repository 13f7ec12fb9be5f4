"""Which decoder version holds when (REG-093)."""

import pytest

from millrace.model.device import TemplateVersion
from millrace.store.timeline import Binding, decoder_timeline

FIRST = TemplateVersion(1, (), activated_at_ns=100, retired_at_ns=200)
SECOND = TemplateVersion(2, (), activated_at_ns=200)
OTHER = TemplateVersion(9, (), activated_at_ns=50)
LAST = TemplateVersion(8, (), activated_at_ns=50)
BOUND = {9: OTHER, 8: LAST}

Span = tuple[int, int | None, int | None]


def _spans(bindings: list[Binding], fw: str = "2.1.0") -> list[Span]:
    found = decoder_timeline((FIRST, SECOND), bindings, BOUND, fw)
    return [(each.id, each.activated_at_ns, each.retired_at_ns) for each in found]


CASES: list[tuple[str, list[Binding], list[Span]]] = [
    ("none", [], [(1, 100, 200), (2, 200, None)]),
    ("other firmware", [Binding(9, "3.*", None, None)], [(1, 100, 200), (2, 200, None)]),
    ("for ever", [Binding(9, "", None, None)], [(9, None, None)]),
    (
        "a while",
        [Binding(9, "", 150, 250)],
        [(1, None, 150), (9, 150, 250), (2, 250, None)],
    ),
    ("open end", [Binding(9, "", 300, None)], [(1, None, 200), (2, 200, 300), (9, 300, None)]),
    ("open start", [Binding(9, "", None, 120)], [(9, None, 120), (1, 120, 200), (2, 200, None)]),
    (
        "exact over prefix over any",
        [
            Binding(9, "", None, None),
            Binding(8, "2.*", 10, None),
            Binding(9, "2.1.0", 20, 30),
        ],
        [(9, None, 10), (8, 10, 20), (9, 20, 30), (8, 30, None)],
    ),
    (
        "latest start among equals",
        [Binding(9, "2.1*", None, None), Binding(8, "2.*", 150, None)],
        [(9, None, 150), (8, 150, None)],
    ),
]


@pytest.mark.parametrize(("bindings", "spans"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_bindings_override_the_template(bindings: list[Binding], spans: list[Span]) -> None:
    assert _spans(bindings) == spans


def test_a_binding_without_a_template_version_beside_it() -> None:
    found = decoder_timeline((), [Binding(9, "", 10, 20)], BOUND, "")
    assert [(each.id, each.activated_at_ns, each.retired_at_ns) for each in found] == [(9, 10, 20)]


def test_firmware_is_needed_for_a_pattern_but_not_for_any() -> None:
    assert _spans([Binding(9, "2.1.0", None, None)], fw="") == _spans([])
    assert _spans([Binding(9, "", None, None)], fw="") == [(9, None, None)]
