"""The curve that turns a label's log-odds into calibrated log-odds.

Serving and training read and write the same curve, so that what was fitted is what is served.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Calibration:
    """A strictly increasing curve: straight lines between knots, one slope beyond them.

    With one knot the curve is a straight line: Platt scaling, or a temperature. More knots make an
    isotonic fit. It rises everywhere, so a calibrated score ranks photos as the model does: a step
    function would tie what the model tells apart.

    Attributes:
        slope: of the curve before the first knot and after the last, above 0.
        knots: (log-odds of the model, calibrated log-odds), both strictly increasing; at least one.
    """

    slope: float
    knots: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        """Check that the curve rises.

        Raises:
            ValueError: it does not, or a number is not finite.
        """
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

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Calibration:
        """Read a label's ``calibration`` of ``bundle.json``: of schema 1, or with ``knots``.

        Raises:
            KeyError: a key is missing.
            TypeError: a value is of a wrong type.
            ValueError: the curve does not rise, or a number is not finite.
        """
        if "knots" not in entry:
            return cls.line(float(entry["slope"]), float(entry["intercept"]))
        return cls(float(entry["slope"]), tuple((float(x), float(y)) for x, y in entry["knots"]))

    def to_json(self) -> dict[str, Any]:
        """Return the curve as ``bundle.json`` holds it; lines keep the form of schema 1."""
        if len(self.knots) == 1 and self.knots[0][0] == 0:
            return {"slope": self.slope, "intercept": self.knots[0][1]}
        return {"slope": self.slope, "knots": [list(knot) for knot in self.knots]}

    def rounded(self, digits: int = 6) -> Calibration:
        """Return the curve as it is written into files; knots that coincide there are dropped."""
        kept: list[tuple[float, float]] = []
        for knot in self.knots:
            x, y = round(knot[0], digits), round(knot[1], digits)
            if not kept or (x > kept[-1][0] and y > kept[-1][1]):
                kept.append((x, y))
        return Calibration(max(round(self.slope, digits), 10.0**-digits), tuple(kept))
