"""How often comparing cries wolf, how often it finds a true difference, and whether its intervals cover.

    python -m bench.compare [--runs 1000] [--json FILE]

Pure simulation of latencies (lognormal, with and without a drift that both instances share), and the whole command in virtual time
against two simulators of one profile.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from pathlib import Path

from bench.paired import whole
from probes.compare import ratio_of_medians
from probes.jobs.compare import COLD_PAIRS, WARM_PAIRS

SPREADS = (0.3, 0.4, 0.5)


def simulated(runs: int, spread: float, ratio: float, *, drift: bool, seed: int) -> tuple[float, float]:
    """(share of runs in which a difference was seen, share whose interval covers `ratio`)."""
    source = random.Random(seed)
    differs = covers = 0
    for _ in range(runs):
        load = [1.0 + (0.8 * math.sin(n / 25.0) + 0.8 if drift else 0.0) for n in range(WARM_PAIRS + COLD_PAIRS)]
        paired = [(0.2 * ratio * now * source.lognormvariate(0.0, spread), 0.2 * now * source.lognormvariate(0.0, spread)) for now in load]
        found, seen = ratio_of_medians(paired)
        differs += seen
        covers += found.low <= ratio <= found.high
    return differs / runs, covers / runs


def main() -> None:
    """Prints the tables and the numbers as JSON."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--runs", type=int, default=1000)
    words.add_argument("--whole", type=int, default=40, help="runs of the whole command in virtual time, each way")
    words.add_argument("--json", type=Path, help="write the numbers there")
    asked = words.parse_args()
    numbers: dict[str, float] = {}
    print("spread drift  false alarms  20 % found  covered")
    for drift in (False, True):
        for spread in SPREADS:
            false, _ = simulated(asked.runs, spread, 1.0, drift=drift, seed=1)
            found, covered = simulated(asked.runs, spread, 1.2, drift=drift, seed=2)
            print(f"{spread:<6} {drift!s:<6} {false:<13.1%} {found:<11.1%} {covered:.1%}")
            key = f"{spread}{'_drift' if drift else ''}"
            numbers |= {f"false_{key}": false, f"found_{key}": found, f"covered_{key}": covered}
    same = [whole(1.0, seed) for seed in range(asked.whole)]
    other = [whole(1.2, seed) for seed in range(asked.whole)]
    numbers["whole_false"] = sum(one.differs for one in same) / asked.whole
    numbers["whole_found"] = sum(one.differs for one in other) / asked.whole
    print(f"whole command, {asked.whole} runs each: false alarms {numbers['whole_false']:.1%}, 20 % found {numbers['whole_found']:.1%}")
    print(json.dumps(numbers))
    if asked.json:
        asked.json.write_text(json.dumps(numbers) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
