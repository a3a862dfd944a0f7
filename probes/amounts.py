"""Numbers with their intervals: how what was estimated is told."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

LEAST_PRICED = 5
"""Fewest answered calls from which a cost or a safe rate is told."""


@dataclass(frozen=True, slots=True)
class Number:
    """An estimated number with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int

    def document(self) -> dict[str, Any]:
        """As the contract writes it; six significant digits."""
        return {"value": _short(self.value), "low": _short(self.low), "high": _short(self.high), "n": self.n}


def mean_of(values: np.ndarray, kinds: Sequence[int] = ()) -> Number | None:
    """Mean with its interval by Student's t on the logarithm's scale where the spread is wide; None below `LEAST_PRICED`.

    `kinds`: how many values one after another are of each kind, where the shares of the kinds are known and not drawn.
    """
    n = len(values)
    if n < LEAST_PRICED:
        return None
    mean, half = float(np.mean(values)), student(n - 1) * _error(values, kinds or (n,))
    if mean <= 0.0:
        return Number(mean, mean - half, mean + half, n)
    ratio = math.exp(half / mean)
    return Number(mean, mean / ratio, mean * ratio, n)


def _error(values: np.ndarray, kinds: Sequence[int]) -> float:
    """Standard error of the mean of values that were drawn from each kind by itself."""
    parts = np.split(values, np.cumsum(kinds)[:-1])
    return math.sqrt(sum(len(part) * float(np.var(part, ddof=1)) for part in parts if len(part) > 1)) / len(values)


def student(degrees: int) -> float:
    """97.5 % quantile of Student's t (Cornish-Fisher expansion, within 0.5 % from 4 degrees on)."""
    z, v = 1.959964, float(max(degrees, 1))
    return (
        z + (z**3 + z) / (4 * v) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2) + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
    )


def _short(value: float) -> float:
    return float(f"{value:.6g}")
