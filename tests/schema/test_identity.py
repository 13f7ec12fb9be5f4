"""How devices are named (F2-003, REG-120)."""

import pytest

from millrace.schema.identity import bare_mac, f2_device_id, is_device_id, mac_spellings

ONE = "f2-e4fd45f654be"


@pytest.mark.parametrize(
    ("text", "device_id"),
    [
        ("f2-e4fd45f654be", ONE),
        ("F2-E4FD45F654BE", ONE),
        ("f2-e4:fd:45:f6:54:be", ONE),
        ("f2-e4-fd-45-f6-54-be", ONE),
        ("e4fd45f654be", ONE),
        ("f2-al1111222233", "f2-al1111222233"),
        ("gate_7", "gate_7"),
        ("dev-4", None),
        ("dev-x", "dev-x"),
        ("", None),
        ("-gate", None),
        ("a" * 64, "a" * 64),
        ("a" * 65, None),
        ("gate 7", None),
        ("gate\n", None),
    ],
)
def test_f2_device_id(text: str, device_id: str | None) -> None:
    assert f2_device_id(text) == device_id


@pytest.mark.parametrize(
    ("text", "mac"),
    [
        ("E4:FD:45:F6:54:BE", "e4fd45f654be"),
        ("e4fd45f654b", None),
        ("e4fd45f654bg", None),
        ("e4fd45f654b\u0660", None),
    ],
)
def test_bare_mac(text: str, mac: str | None) -> None:
    assert bare_mac(text) == mac


@pytest.mark.parametrize("text", ["a", "A_1.:-", "x" * 128, "e4:fd", "dev-x"])
def test_ids_that_may_have_a_row(text: str) -> None:
    assert is_device_id(text)


@pytest.mark.parametrize("text", ["", "_.:-", "x" * 129, "a b", "a/b", "é", "dev-4", "a\n"])
def test_ids_that_may_not(text: str) -> None:
    assert not is_device_id(text)


def test_every_spelling_is_read_as_the_same_device() -> None:
    spellings = mac_spellings(ONE)
    assert "F2-E4:FD:45:F6:54:BE" in spellings
    assert ONE not in spellings
    assert {f2_device_id(form) for form in spellings} == {ONE}
    assert mac_spellings("gate_7") == []
