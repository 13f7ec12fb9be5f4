"""Quality flags of a reading, as one small integer.

A flagged value is stored like any other; no flag means good. Names are written in alphabetical
order, and bits never change their meaning because they are stored.
Source: MTR-044, F2-110.
"""

BAD_SEQ = 1
BAD_UNIT = 2
CLOCK = 4
CRC = 8
ID_MISMATCH = 16
OVERSIZE = 32
RANGE = 64
SEQ_CONFLICT = 128
SEQ_STALE = 256
UNMAPPED = 512

NAMES: dict[int, str] = {
    BAD_SEQ: "bad_seq",
    BAD_UNIT: "bad_unit",
    CLOCK: "clock",
    CRC: "crc",
    ID_MISMATCH: "id_mismatch",
    OVERSIZE: "oversize",
    RANGE: "range",
    SEQ_CONFLICT: "seq_conflict",
    SEQ_STALE: "seq_stale",
    UNMAPPED: "unmapped",
}


def names(flags: int) -> list[str]:
    """Return the names of the flags that are set, in alphabetical order."""
    return [name for bit, name in NAMES.items() if flags & bit] if flags else []
