"""F33: the windows that the API fills in lie where the clocks of the zone say, twice a year too."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import example, given
from hypothesis import strategies as st

from millrace.ports.series import Every, Span
from millrace.serve.windows import starts

HOUR_NS = 3_600_000_000_000
ZONES = (
    "UTC", "Europe/Berlin", "America/New_York", "America/St_Johns", "Australia/Lord_Howe",
    "Africa/Cairo", "Asia/Kathmandu", "Pacific/Apia", "Africa/Casablanca", "America/Sao_Paulo",
)  # fmt: skip
FIRST = datetime(2000, 1, 1, tzinfo=UTC)


@given(st.sampled_from(ZONES), st.integers(0, 30 * 365 * 24), st.integers(1, 400))
@example("Pacific/Apia", 105_168, 72)  # 2011-12-30 did not exist there
@example("Europe/Berlin", 229_920, 72)
def test_f33_days_begin_at_local_midnight_and_leave_no_hole(
    zone: str, first_hour: int, hours: int
) -> None:
    local = ZoneInfo(zone)
    begin = FIRST + timedelta(hours=first_hour)
    start_ns = int(begin.timestamp()) * 1_000_000_000
    span = Span(start_ns, start_ns + hours * HOUR_NS)
    found = list(starts(span, Every(1, "d", zone)))
    assert found[0] <= span.start_ns
    assert found[-1] < span.stop_ns
    shown = [datetime.fromtimestamp(at // 1_000_000_000, local) for at in found]
    quarters = (begin + timedelta(minutes=15 * n) for n in range(hours * 4))
    days = sorted({at.astimezone(local).date() for at in quarters})
    assert [at.date() for at in shown] == days
    for one, other in pairwise(found):
        assert 22 * HOUR_NS < other - one < 26 * HOUR_NS
