"""What a meter measures, by what its train does: effort 1 is full power, negative is braking.

Elements come as the end of their JSON, because thousands of them are made a second.
Source: MTR-150.
"""

from random import Random

from millrace.simulate.physics import Walk


class DcLoad:
    """A meter at the third rail."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng

    def sample(self, effort: float) -> tuple[str, ...]:
        """Return the elements of one instant, without their beginning (the time)."""
        noise = self._rng.random
        volts = 752 - 35 * effort + 10 * noise() - 5
        amperes = min(400.0, 200 + 190 * abs(effort) + 10 * noise())
        if effort < 0:
            amperes = -amperes
        return (
            f',"type":"voltage_dc","val":{volts:.1f},"unit":"V"}}',
            f',"type":"current_dc","val":{amperes:.1f},"unit":"A"}}',
        )


class AcLoad:
    """A meter below the catenary."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._frequency = Walk(rng, 49.9, 50.1)

    def sample(self, effort: float) -> tuple[str, ...]:
        """Return the elements of one instant, without their beginning (the time)."""
        noise = self._rng.random
        volts = 25_000 - 700 * effort + 400 * noise() - 200
        amperes = min(200.0, 100 + 95 * abs(effort) + 5 * noise())
        power_factor = 0.92 + 0.05 * abs(effort) + 0.02 * noise()
        return (
            f',"type":"voltage_ac","val":{volts:.0f},"unit":"V"}}',
            f',"type":"current_ac","val":{amperes:.1f},"unit":"A"}}',
            f',"type":"frequency","val":{self._frequency.next():.2f},"unit":"Hz"}}',
            f',"type":"pf","val":{power_factor:.2f}}}',
        )
