"""How often `probes diagnose` names what was planted, alone and in pairs, and how often it blames something when nothing was.

python -m bench.diagnose [--nothing 60] [--json FILE]
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path

from bench.planted import NOTHING, PLANTS, diagnosed


def main() -> None:
    """Runs the matrix and prints it."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--nothing", type=int, default=60, help="runs with nothing planted")
    words.add_argument("--json", type=Path, help="write the numbers there")
    asked = words.parse_args()
    alone = {name: [cause.kind for cause in diagnosed(plant)] for name, plant in PLANTS.items()}
    for name, kinds in alone.items():
        print(f"{'named' if name in kinds else 'MISSED':<7} {name:<18} {', '.join(kinds)}")
    pairs = {(a, b): {cause.kind for cause in diagnosed(PLANTS[a].also(PLANTS[b]))} for a, b in itertools.combinations(PLANTS, 2)}
    for (a, b), found in pairs.items():
        if not {a, b} <= found or found - {a, b}:
            print(f"{'named' if {a, b} <= found else 'MISSED':<7} {a} + {b}: {', '.join(sorted(found))}")
    blamed = [kinds for seed in range(asked.nothing) if (kinds := [cause.kind for cause in diagnosed(NOTHING, seed + 100)])]
    both = sum({a, b} <= found for (a, b), found in pairs.items())
    numbers = {
        "alone_named": sum(name in kinds for name, kinds in alone.items()),
        "alone": len(alone),
        "alone_blamed_besides": sum(len(set(kinds) - {name}) for name, kinds in alone.items()),
        "pairs_named": both,
        "pairs": len(pairs),
        "nothing_clean": asked.nothing - len(blamed),
        "nothing": asked.nothing,
    }
    print(json.dumps(numbers))
    if asked.json:
        asked.json.write_text(json.dumps(numbers) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
