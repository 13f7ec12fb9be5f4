"""Display text of a data point's value; what is stored is always the number.

Source: F2-095.
"""

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from millrace.model.device import DataPoint

_SIGNIFICANT: Final = 6
# a double has at most 17 significant digits and 309 before the point
_EXACT: Final = Context(prec=400, rounding=ROUND_HALF_EVEN)


def display_text(value: float, point: DataPoint) -> str:
    """Return prepend, the number with its fixed digits, append.

    The number has exactly `decimals` fraction digits, rounded half to even, and its integer part
    is padded with zeros to `whole_number` digits; floats with decimals 0 show up to six
    significant digits.
    """
    digits = _digits(value, point)
    sign = "-" if digits.startswith("-") else ""
    whole, dot, fraction = digits.removeprefix("-").partition(".")
    number = sign + whole.zfill(point.whole_number) + dot + fraction
    return f"{point.prepend}{number}{point.append}"


def _digits(value: float, point: DataPoint) -> str:
    name = (point.encoding or point.data_format).strip().lower()
    if not point.decimals and name.startswith("float"):
        return f"{_EXACT.create_decimal(f'{value:.{_SIGNIFICANT}g}').normalize(_EXACT):f}"
    # the shortest text of the double is the value that was meant: 2.675 and not 2.67499...
    step = Decimal(1).scaleb(-max(point.decimals, 0))
    rounded = Decimal(repr(float(value))).quantize(step, context=_EXACT)
    return f"{rounded:f}" if rounded else f"{abs(rounded):f}"
