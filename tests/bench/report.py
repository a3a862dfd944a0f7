"""What telling a large run costs: a million observations, with time, memory and the size of the page.

Run it as `python -m bench.report [--observations N]`; the aim is 30 s, 1 GB, 5 MB for a million. The run folder is made in a temporary
folder (520 MB for a million) and removed.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from probes import report
from probes.config import Instance, Kind
from probes.observation import Observation, Outcome
from probes.runs import Run

NAMES = ("test", "beta", "sandbox")
SCENARIOS = ("load", "load", "load", "load", "load", "load", "load", "load", "latency", "pagination")
PROBED = 1_000
"""The first so many are of a probe, as a run that ends in a load has them."""


def lines(count: int, calls: int = 40) -> Iterator[str]:
    """Lines of observations: three instances, mostly load, some of it refused."""
    source = random.Random(1)
    blank = json.loads(Observation("", "", "", "GET", "/", 0.0, 0.0, 0.0, 200, Outcome.OK, request_id="0").line())
    for number in range(count):
        due, flight = number * 0.002, source.lognormvariate(-1.0, 0.3)
        probed = number < PROBED
        call = "/api/v1/users/self" if probed else f"/api/v1/courses/{number % calls}"
        blank.update(
            instance=NAMES[number % 3],
            scenario="throttling" if probed else SCENARIOS[number % len(SCENARIOS)],
            call=f"GET {call}",
            path=call,
            due_s=due,
            sent_s=due + 0.001,
            received_s=round(due + flight, 6),
            server_time_s=round(flight * 0.9, 6),
            remaining=round(600.0 - flight * 300.0, 3),
            cost=round(flight * 0.8, 6),
            wait_s=flight,
            reused=True,
            outcome="throttled" if number % 997 == 0 else "ok",
        )
        yield json.dumps(blank, separators=(",", ":")) + "\n"


def main(count: int) -> None:
    """Makes the run, tells it, prints what that took."""
    with tempfile.TemporaryDirectory() as folder:
        instances = [Instance(name=name, url=f"https://{name}.school.example", kind=Kind.TEST) for name in NAMES]
        run = Run.create(Path(folder), ["load"], instances)
        with (run.folder / "observations.jsonl").open("a") as file:
            file.writelines(lines(count))
        run.finish("done")
        began = time.perf_counter()
        report.write(run)
        seconds = time.perf_counter() - began
        page = (run.folder / "report.html").stat().st_size
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{count:,} observations: {seconds:.1f} s, {peak:.0f} MB, report.html {page / 1e6:.2f} MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--observations", type=int, default=1_000_000)
    main(parser.parse_args().observations)
