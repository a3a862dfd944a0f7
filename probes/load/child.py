"""Runs a load in child processes: settings in a file, reports through a pipe, a proper end whatever happens here."""

from __future__ import annotations

import json
import os
import queue
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from probes.errors import ProbesError
from probes.load.outcome import LoadOutcome, LoadProgress
from probes.load.plan import LoadPlan
from probes.load.processes import END_S, PER_WORKER_S, Processes
from probes.load.reckoning import reckon
from probes.runs import OBSERVATIONS, Run

START_S = 30.0
"""Locust is up and its users are there within this time, or something is wrong."""
POLL_S = 0.1
STDOUT = 1
SPAN_S = 1.5
"""Rates of the progress are taken over this much time."""

Hear = Callable[[LoadProgress], None]


def run_load(plan: LoadPlan, run: Run, *, progress: Hear | None = None, origin_s: float | None = None) -> LoadOutcome:
    """Runs `plan`; its observations land in `run`, their times count from `origin_s`, the run's start by `time.perf_counter()`.

    `progress` hears a few times a second how it goes. Ctrl-C ends the child at once, keeps what it measured and raises Interrupted, or
    KeyboardInterrupt before there was anything. Raises ConfigError for a missing token, ProbesError when the child cannot be started.
    """
    path = run.folder / OBSERVATIONS
    offset = path.stat().st_size if path.exists() else 0
    origin = time.perf_counter() if origin_s is None else origin_s
    # on Windows a process that was killed may hold it a moment longer
    with tempfile.TemporaryDirectory(prefix="canvas-probes-", ignore_cleanup_errors=True) as folder:
        child = Child(plan, path.resolve(), origin, Path(folder))
        interrupted = _watched(child, progress)
        if child.last is None:
            raise interrupted or ProbesError(f"The load did not start: {child.processes.complaint()}")
    outcome = reckon(plan, child.last, path, offset, killed=child.processes.killed)
    if interrupted is not None:
        raise Interrupted(outcome) from None
    return outcome


def _watched(child: Child, progress: Hear | None) -> KeyboardInterrupt | None:
    """Watches the child to its end, which an interrupt brings about at once: that comes back."""
    try:
        child.watch(progress)
    except KeyboardInterrupt as interrupt:
        return interrupt
    finally:
        child.end()
    return None


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a load; `outcome` is what it came to until then."""

    def __init__(self, outcome: LoadOutcome) -> None:
        super().__init__()
        self.outcome = outcome


class Child:
    """The processes of one load and the last that they reported."""

    def __init__(self, plan: LoadPlan, path: Path, origin_s: float, folder: Path) -> None:
        self.plan = plan
        self.last: dict[str, Any] | None = None
        self._started = time.perf_counter()
        self._history: deque[tuple[float, int, int]] = deque(maxlen=40)
        more = {"observations": str(path), "origin_s": origin_s, "parent_pid": os.getpid(), "report_fd": STDOUT}
        (folder / "load.json").write_text(json.dumps(plan.document(**more)), encoding="utf-8")
        self.processes = Processes(plan, folder)
        self._reports: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=self._receive, daemon=True).start()

    def watch(self, progress: Hear | None) -> None:
        """Reads reports until the first process has ended; kills all when they outlive their time."""
        while self._read(progress, POLL_S):
            if self._overdue():
                self.processes.kill()
        self.processes.wait()

    def end(self) -> None:
        """The processes are gone when this returns, and what they still said is heard."""
        self.processes.end()
        while self._read(None, END_S):
            pass

    def _receive(self) -> None:
        """In a thread, as Windows cannot wait for a pipe and for a time. An empty line is the end."""
        with self.processes.reports as reports:
            for line in reports:
                self._reports.put(line)
        self._reports.put(b"")

    def _read(self, progress: Hear | None, most_s: float) -> bool:
        """Hears the next report, if one comes within `most_s`; False once there are no more."""
        try:
            line = self._reports.get(timeout=most_s)
        except queue.Empty:
            return True
        if line.endswith(b"\n"):  # a last one may be cut short by a kill
            self._hear(json.loads(line), progress)
        elif not line:
            self._reports.put(b"")  # for who asks again
        return bool(line)

    def _hear(self, report: dict[str, Any], progress: Hear | None) -> None:
        if report["kind"] == "port":
            self.processes.start_workers(report["port"])
            return
        self.last = report
        if progress is not None and report["kind"] == "progress":
            progress(self._progress(report))

    def _progress(self, report: dict[str, Any]) -> LoadProgress:
        now, handed, requests = report["now_s"], report["handed"], report["requests"]
        while len(self._history) > 1 and self._history[0][0] < now - SPAN_S:
            self._history.popleft()
        then, handed_then, requests_then = self._history[0] if self._history else (now, handed, requests)
        if now >= report["start_s"]:
            self._history.append((now, handed, requests))
        span = now - then
        return LoadProgress(
            elapsed_s=max(0.0, now - report["start_s"]),
            offered=handed,
            requests=requests,
            refused=report["refused"],
            in_flight=report["in_flight"],
            offered_per_s=(handed - handed_then) / span if span > 0.2 else None,
            achieved_per_s=(requests - requests_then) / span if span > 0.2 else None,
            remaining=report["remaining"],
            p95_s=report["p95_s"],
        )

    def _overdue(self) -> bool:
        plan = self.plan
        start = START_S + PER_WORKER_S * plan.workers
        longest = start + plan.duration_s + plan.grace_s + 2.0 * plan.instance.timeout_s + END_S
        return time.perf_counter() - self._started > (start if self.last is None else longest)
