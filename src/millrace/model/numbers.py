"""Numbers that come as JSON numbers or as text with a unit behind them.

Source: F2-024, F2-062, F2-190.
"""

import re
from math import isfinite

from millrace.errors import RejectError
from millrace.model.instants import BLANKS

UNIT_CHARS = 20

_NUMBER = re.compile(
    r"([+\-\u2212]?)(?!0[xX])([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE]([+-]?[0-9]+))?", re.ASCII
)
_EXPONENT_CHARS = 12
_UNIT_SIGNS = "°%Ω"


def to_double(number: float) -> float:
    """Return the nearest double of a JSON number.

    Raises:
        RejectError: `not_finite`.
    """
    try:
        value = float(number)
    except OverflowError:
        value = float("inf")
    if not isfinite(value):
        raise RejectError("not_finite", "the number is not finite as a double")
    return value


def read_quantity(value: object, decimals: int = 0) -> tuple[float, str]:
    """Return number and unit of a JSON number, or of a text such as `27.93 °C`.

    The number is divided by 10 ** decimals; the result is the double nearest to the exact value.
    Raises:
        RejectError: `bad_value` or `not_finite`.
    Source: F2-190.
    """
    if type(value) is int or type(value) is float:
        return to_double(value), ""
    if type(value) is not str:
        raise RejectError("bad_value", "neither a number nor a text")
    text = value.strip(BLANKS)
    parts = _NUMBER.match(text)
    if parts is None:
        raise RejectError("bad_value", "the text does not begin with a number")
    unit = text[parts.end() :].lstrip(BLANKS)
    _check_unit(unit)
    sign = "-" if parts[1] in ("-", "\u2212") else ""
    return to_double(_scaled(sign + parts[2], parts[3] or "0", decimals)), unit


def _check_unit(unit: str) -> None:
    if len(unit) > UNIT_CHARS:
        raise RejectError("bad_value", f"a unit has at most {UNIT_CHARS} characters")
    for word in unit.split():
        if not (word[0].isalpha() or word[0] in _UNIT_SIGNS):
            raise RejectError("bad_value", "what follows the number is no unit")


def _scaled(mantissa: str, exponent: str, decimals: int) -> float:
    # the text is shifted, not the double, so that it is rounded once only
    if len(exponent) > _EXPONENT_CHARS or not decimals:
        return float(f"{mantissa}e{exponent}")
    return float(f"{mantissa}e{int(exponent) - decimals}")
