"""How devices are named: the one form of a MAC, of an F2 device id, and what may have a row.

Source: F2-003, REG-120.
"""

import re
from typing import Final

_MAC: Final = re.compile(r"[0-9a-f]{12}")
_F2_LEVEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ATTACHED: Final = re.compile(r"dev-[0-9]+")
_DEVICE_ID: Final = re.compile(r"(?=.*[A-Za-z0-9])[A-Za-z0-9_.:-]{1,128}")
_SEPARATORS: Final = str.maketrans("", "", ":-")


def bare_mac(text: str) -> str | None:
    """Return a MAC as 12 lower-case hex digits, or None if the text is none."""
    bare = text.translate(_SEPARATORS).lower()
    return bare if _MAC.fullmatch(bare) else None


def f2_device_id(text: str) -> str | None:
    """Return the id of an F2 controller in its one form (F2-003), or None if it cannot be one."""
    mac = bare_mac(text[3:] if text[:3].lower() == "f2-" else text)
    if mac is not None:
        return f"f2-{mac}"
    if _F2_LEVEL.fullmatch(text) and not _ATTACHED.fullmatch(text):
        return text
    return None


def is_device_id(text: str) -> bool:
    """Return whether a device of this name may have a row of its own (REG-120)."""
    return bool(_DEVICE_ID.fullmatch(text)) and not _ATTACHED.fullmatch(text)


def mac_spellings(device_id: str) -> list[str]:
    """Return the other ways in which people write `f2-<mac>`; empty when there is no MAC in it."""
    mac = bare_mac(device_id[3:]) if device_id.startswith("f2-") else None
    if mac is None:
        return []
    pairs = [mac[at : at + 2] for at in range(0, 12, 2)]
    forms = [mac, ":".join(pairs), "-".join(pairs)]
    forms += [form.upper() for form in forms]
    written = [prefix + form for prefix in ("", "f2-", "F2-") for form in forms]
    return [form for form in dict.fromkeys(written) if form != device_id]
