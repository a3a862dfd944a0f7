"""The processes of a load: Locust, or its master and workers. Ctrl-C reaches them through us only.

Their stdin is how they find out that we have gone, and the stdout of the first how it goes.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import probes
from probes.load.plan import LoadPlan
from probes.system import APART, end, kill
from probes.tokens import redact

FILE_VARIABLE = "CANVAS_PROBES_LOAD"
TOKEN_VARIABLE = "CANVAS_PROBES_TOKEN"  # noqa: S105 # the variable's name, not a token
END_S = 15.0
"""A process that was told to stop has ended within this time, or it is killed."""
LEFT_S = 3.0
"""How long workers may outlive their master: it has told them to end, or it cannot any more."""
PER_WORKER_S = 2.0
MOST_USERS = 4000


def locustfiles() -> Path:
    """The folder of the locustfiles: beside the package in a checkout, inside it in a wheel."""
    package = Path(probes.__file__).parent
    beside = package.parent / "locustfiles"
    return beside if (beside / "steady.py").is_file() else package / "_locustfiles"


class Processes:
    """Started with the settings in `folder`/load.json; `reports` is what the first of them says, a line each time."""

    def __init__(self, plan: LoadPlan, folder: Path) -> None:
        self._plan = plan
        self._folder = folder
        self._environment = _environment(plan, folder / "load.json")
        self._workers: list[subprocess.Popen[bytes]] = []
        self.killed = False
        self._main = self._start(_main_words(plan), "main.log", subprocess.PIPE)
        assert self._main.stdout is not None
        self.reports = self._main.stdout

    def start_workers(self, port: int) -> None:
        """Starts the workers, once the master has said at which port it listens."""
        words = ["--worker", "--master-host", "127.0.0.1", "--master-port", str(port)]
        self._workers = [self._start(words, f"worker-{place}.log", subprocess.DEVNULL) for place in range(self._plan.workers)]

    def end(self) -> None:
        """All processes are gone when this returns: asked first (a master tells its workers), all killed when one does not go."""
        if self._main.poll() is None:
            end(self._main)
        self._waited(lambda _: self.kill())

    def wait(self) -> None:
        """Waits for those that have said their last word; kills those that do not go."""
        self._waited(kill)

    def _waited(self, late: Callable[[subprocess.Popen[bytes]], None]) -> None:
        """Waits for each; a process that outlives its time goes to `late`."""
        deadline = time.perf_counter() + END_S
        for process in (self._main, *self._workers):
            try:
                process.wait(max(0.1, deadline - time.perf_counter()))
            except subprocess.TimeoutExpired:
                late(process)
            assert process.stdin is not None
            with contextlib.suppress(OSError):  # a word that it did not hear any more
                process.stdin.close()
            if process is self._main:  # a worker that its master did not reach any more hears it from us
                deadline = min(deadline, time.perf_counter() + LEFT_S)

    def kill(self) -> None:
        """Ends all hard; at most the last report interval of records is lost."""
        self.killed = True
        for process in (self._main, *self._workers):
            kill(process)

    def complaint(self) -> str:
        """The last line that a process said on stderr."""
        for log in sorted(self._folder.glob("*.log")):
            lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            if lines:
                return redact(lines[-1][:300])
        return f"Locust ended with exit code {self._main.returncode} and said nothing."

    def _start(self, words: list[str], log: str, stdout: int) -> subprocess.Popen[bytes]:
        file = locustfiles() / f"{self._plan.locustfile}.py"
        common = ["--headless", "--only-summary", "--loglevel", "ERROR", "--exit-code-on-error", "0"]
        with (self._folder / log).open("wb") as stderr:
            return subprocess.Popen(  # noqa: S603 # our own interpreter with our own words
                [sys.executable, "-m", "locust", "-f", str(file), *common, *words],
                env=self._environment,
                cwd=self._folder,  # no locust.conf of the user's takes part
                stdin=subprocess.PIPE,
                stdout=stdout,
                stderr=stderr,
                **APART,
            )


def _main_words(plan: LoadPlan) -> list[str]:
    users = str(min(plan.in_flight * max(1, plan.workers), MOST_USERS))  # each worker has enough of them whatever share it is granted
    words = ["--users", users, "--spawn-rate", users, "--host", plan.instance.url]
    if plan.workers:
        words += ["--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", "0", "--expect-workers", str(plan.workers)]
        words += ["--stop-timeout", "60"]
    return words


def _environment(plan: LoadPlan, settings: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
    package = str(Path(probes.__file__).parent.parent)
    if Path(package).name not in {"site-packages", "dist-packages"}:
        kept["PYTHONPATH"] = os.pathsep.join([package, *filter(None, [kept.get("PYTHONPATH")])])
    token = plan.instance.token()
    if token is not None:
        kept[TOKEN_VARIABLE] = token
    return {**kept, FILE_VARIABLE: str(settings)}
