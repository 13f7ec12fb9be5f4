"""How the pure middle is set up from settings."""

from millrace.decode.registration import Pace
from millrace.settings import LogSettings, Settings
from millrace.wiring.middle import build_middle


def test_reg104_the_pace_is_shared_by_the_partitions_of_the_open_log() -> None:
    settings = Settings(log=LogSettings(partitions=4))
    guarded = settings.api.model_copy(update={"auth": "required"})
    middle = build_middle(settings.model_copy(update={"api": guarded}), partitions=12)
    pace = middle._registration._pace
    assert pace is not None
    assert vars_of(pace) == vars_of(Pace(12)) != vars_of(Pace(4))


def vars_of(pace: Pace) -> tuple[int, int]:
    return pace._interval_ns, pace._ahead_ns
