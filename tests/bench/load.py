"""`make bench-load`: how well the load keeps its word, with the naive way beside it. `python -m bench.load [--full] [PART...]`.

Quick (the default) takes about five minutes, full about half an hour, most of it for the two million requests of the memory
test. Each number is taken against a server of our own in one run on one machine: compare ratios, not machines. Where the
machine is busy the best of two runs counts.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import load_runs as runs


@dataclass(frozen=True)
class Row:
    """One line of the table. `met` is None where nothing was promised."""

    what: str
    measured: str
    asked: str
    met: bool | None
    numbers: dict[str, Any]


def rates(folder: Path, *, full: bool) -> list[Row]:
    """Offered against asked."""
    found = []
    for rate in (1.0, 10.0, 50.0, 200.0) if full else (10.0, 200.0):
        numbers = runs.offered(folder, rate, 30.0 if full else 10.0)
        met = numbers["error"] <= 0.005 and numbers["lines_lost"] == 0
        found.append(Row(f"offered rate at {rate:g}/s", f"{numbers['error']:.3%} off", "<= 0.5 %", met, numbers))
    return found


def arrivals(folder: Path, *, full: bool) -> list[Row]:
    """Evenness and punctuality, and plain Locust's."""
    found = []
    seconds = 30.0 if full else 15.0
    for users in (8, 60, 400) if full else (60,):
        both = [runs.evenness(folder, users, seconds) for _ in range(2)]
        best = min(both, key=lambda run: run["cv"])
        late = min(run["p99_s"] for run in both)
        numbers = {"runs": both}
        found.append(Row(f"evenness at 50/s, {users} users", f"cv {best['cv']:.3f}", "<= 0.06", best["cv"] <= 0.06, numbers))
        found.append(Row(f"p99 of arrival - due, {users} users", f"{late * 1000:.1f} ms", "<= 5 ms", late <= 0.005, numbers))
    naive = runs.plain_evenness(seconds)
    return [*found, Row("the same, plain constant_throughput, 50 users", f"cv {naive:.1f}", "-", None, {"cv": naive})]


def stall(folder: Path, *, full: bool) -> list[Row]:
    """Percentiles against the analytic truth."""
    told = runs.stall(folder, 60.0 if full else 20.0)
    found = []
    for name, truth in (("p50", 0.020), ("p90", 1.020), ("p99", 1.920)):
        value = told[name]
        allowed = 0.005 if name == "p50" else 0.05 * truth
        met = value is not None and abs(value - truth) <= allowed
        shown = "none" if value is None else f"{value * 1000:.0f} ms"
        found.append(Row(f"stall, {name}", shown, f"{truth * 1000:.0f} ms +- {allowed * 1000:.0f}", met, dict(told)))
    return found


def throughput(folder: Path, *, full: bool) -> list[Row]:
    """Every observation kept, against plain FastHttpUser."""
    numbers = runs.throughput(folder, 50, 15.0 if full else 6.0, 3 if full else 2)
    shown = f"{numbers['ratio']:.2f} ({numbers['ours_per_s']:.0f} to {numbers['plain_per_s']:.0f}/s)"
    return [Row("throughput against plain FastHttpUser", shown, ">= 0.85", numbers["ratio"] >= 0.85, numbers)]


def many(folder: Path, *, full: bool) -> list[Row]:
    """One master and four workers."""
    numbers = runs.distributed(folder, 200.0 if full else 100.0, 30.0 if full else 10.0, 4)
    lost = f"{numbers['lines_lost']} of {numbers['requests']}"
    return [
        Row("four workers: total rate", f"{numbers['error']:.2%} off", "<= 1 %", numbers["error"] <= 0.01, numbers),
        Row("four workers: records missing", lost, "0", numbers["lines_lost"] == 0, numbers),
    ]


def brakes(folder: Path, *, full: bool) -> list[Row]:
    """From the first refusal beyond the limit to the last request."""
    found = []
    for workers in (0, 4):
        seconds = runs.reaction(folder, 200.0 if full else 100.0, workers)
        found.append(
            Row(f"refusal to last request, {workers} workers", f"{seconds * 1000:.0f} ms", "<= 1 s", seconds <= 1.0, {"s": seconds})
        )
    return found


def memory(folder: Path, *, full: bool) -> list[Row]:
    """Growth of the load process."""
    requests, settled = (2_000_000, 100_000) if full else (60_000, 20_000)
    numbers = runs.memory(folder, requests, settled)
    grown = numbers["grown_bytes"] / 1e6
    return [Row(f"memory, {numbers['requests']} requests", f"+{grown:.1f} MB", "<= 50 MB", grown <= 50.0, numbers)]


PARTS: dict[str, Callable[..., list[Row]]] = {
    "rates": rates,
    "arrivals": arrivals,
    "stall": stall,
    "throughput": throughput,
    "many": many,
    "brakes": brakes,
    "memory": memory,
}


def main() -> int:
    """Runs the parts, prints the table, writes it as JSON; 1 when a promise was missed."""
    words = argparse.ArgumentParser(prog="bench.load", description=__doc__)
    words.add_argument("--full", action="store_true", help="the whole length of each measurement")
    words.add_argument("--json", type=Path, default=Path("results/bench-load.json"), metavar="FILE", help="where the numbers go")
    words.add_argument("parts", nargs="*", choices=[*PARTS, []], help="which parts; all by default")
    asked = words.parse_args()
    rows: list[Row] = []
    print(f"{'full' if asked.full else 'quick'}, load of the machine before: {os.getloadavg()[0]:.2f}")
    for name in asked.parts or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            for row in PARTS[name](Path(folder), full=asked.full):
                mark = {True: "met", False: "MISSED", None: ""}[row.met]
                print(f"{row.what:<48} {row.measured:>24}   {row.asked:<18} {mark}", flush=True)
                rows.append(row)
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_text(
        json.dumps({"schema": "probes.bench-load/1", "full": asked.full, "rows": [asdict(row) for row in rows]}, indent=2) + "\n"
    )
    return 1 if any(row.met is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
