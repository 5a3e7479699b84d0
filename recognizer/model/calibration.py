"""The curve that turns a label's log-odds into calibrated log-odds."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Calibration:
    """A strictly increasing curve: straight lines between knots, one slope beyond them.

    With one knot the curve is a straight line: Platt scaling, or a temperature. More knots make an
    isotonic fit. It rises everywhere, so that a calibrated score ranks images as the model does.

    Attributes:
        slope: of the curve before the first knot and after the last, above 0.
        knots: (log-odds of the model, calibrated log-odds), both strictly increasing; at least one.

    Raises:
        ValueError: the curve does not rise, or a number is not finite.
    """

    slope: float
    knots: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        if not all(math.isfinite(v) for v in (self.slope, *itertools.chain(*self.knots))):
            raise ValueError("a calibration holds a number that is not finite")
        if self.slope <= 0:
            raise ValueError("a calibration slope must be above 0")
        if not self.knots:
            raise ValueError("a calibration without a knot")
        for (x, y), (next_x, next_y) in itertools.pairwise(self.knots):
            if next_x <= x or next_y <= y:
                raise ValueError("the knots of a calibration must rise")

    @classmethod
    def line(cls, slope: float, intercept: float) -> Calibration:
        """Return the straight line slope x log-odds + intercept."""
        return cls(slope, ((0.0, intercept),))

    def __call__(self, log_odds: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return calibrated log-odds, float64 of the shape of ``log_odds``."""
        x, y = np.array(self.knots, np.float64).T
        values = np.asarray(log_odds, np.float64)
        beyond = values - np.clip(values, x[0], x[-1])
        return np.asarray(np.interp(values, x, y) + self.slope * beyond)

    def rounded(self, digits: int = 6) -> Calibration:
        """Return the curve as it is written into files; knots that coincide there are dropped."""
        kept: list[tuple[float, float]] = []
        for knot in self.knots:
            x, y = round(knot[0], digits), round(knot[1], digits)
            if not kept or (x > kept[-1][0] and y > kept[-1][1]):
                kept.append((x, y))
        return Calibration(max(round(self.slope, digits), 10.0**-digits), tuple(kept))
