"""`make bench-exporter`: CPU of one probe, of `probes export` and of Debian's blackbox_exporter, against one server, side by side.

`python -m bench.exporter [--probes N] [--json FILE]`. CPU seconds are those of the exporter's own process (psutil), all three in turns of
BLOCK probes so that what else the machine does meets both, and each probe PAUSE_S after the one before, on our own schedule too. A probe of
either is one request for the same page; ours is a round of scenario `reach`, which asks the health page only where the read fails.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil

from bench.server import Running, running

BLOCK = 50
"""Probes between two readings of the clock; the kernel counts CPU in steps of 10 ms."""
INSTANCES = 20
EVERY_S = 0.5
PAUSE_S = EVERY_S / INSTANCES
"""Time between two probes, for all three alike: who is woken for each probe pays more than who is kept busy."""
PER_PROBE = 1.5
PER_ROUND = 1.0


def main() -> int:
    """Prints the table; exit 1 when a promise is not kept, 2 when blackbox_exporter is not here."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--probes", type=int, default=400, help="how many probes each answers")
    parser.add_argument("--json", type=Path, help="writes the numbers here")
    words = parser.parse_args()
    blackbox = program("prometheus-blackbox-exporter")
    if blackbox is None:
        print("prometheus-blackbox-exporter is not here: make tools", file=sys.stderr)
        return 2
    with running(forget=True) as server, tempfile.TemporaryDirectory() as place:
        numbers = measured(blackbox, server, Path(place), words.probes)
    tell(numbers)
    if words.json:
        words.json.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
    return 0 if numbers["probe_ratio"] <= PER_PROBE and numbers["round_ratio"] <= PER_ROUND else 1


def program(name: str) -> str | None:
    """A program on PATH or where `make tools` puts it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "canvas-probes" / "bin"
    return shutil.which(name) or shutil.which(name, path=str(cache))


def measured(blackbox: str, server: Running, place: Path, probes: int) -> dict[str, Any]:
    """Milliseconds of CPU: `blackbox_ms`, `probe_ms`, `round_ms`, and the ratios that are promised."""
    with ExitStack() as stack:
        theirs, their_port = stack.enter_context(blackbox_exporter(blackbox, place))
        ours, our_port = stack.enter_context(exporter(place, server, instances=1, every_s=3600.0))
        own = Scheduled(*stack.enter_context(exporter(place, server, INSTANCES, EVERY_S)))
        target = f"/probe?target={server.url}/api/v1/users/self&module=http_2xx"
        asks = {"blackbox": (theirs, their_port, target), "probe": (ours, our_port, "/probe?target=i0&module=reach")}
        spent = in_turns(asks, own, probes)
        round_s, scrape_s = own.spent_s / own.rounds, own.scrape_s()
    base = spent["blackbox"]
    return {
        "probes": probes,
        "python": sys.version.split()[0],
        "blackbox_ms": 1000 * base,
        "probe_ms": 1000 * spent["probe"],
        "round_ms": 1000 * round_s,
        "scrape_ms": 1000 * scrape_s,
        "scraped_instances": INSTANCES,
        "probe_ratio": spent["probe"] / base,
        "round_ratio": round_s / base,
    }


def in_turns(asks: dict[str, tuple[psutil.Process, int, str]], own: Scheduled, probes: int) -> dict[str, float]:
    """CPU seconds of one probe of each, by blocks taken in turns, `own` among them; the first block of each warms up."""
    found = dict.fromkeys(asks, 0.0)
    links = {name: http.client.HTTPConnection("127.0.0.1", port, timeout=30) for name, (_, port, _) in asks.items()}
    blocks = max(1, probes // BLOCK)
    for number in range(blocks + 1):
        for name, (process, _, path) in asks.items():
            used, begun = cpu_s(process), time.monotonic()
            for turn in range(BLOCK):
                time.sleep(max(0.0, begun + turn * PAUSE_S - time.monotonic()))
                text = get(links[name], path)
                assert "\nprobe_success 1" in text, text[-3000:]
            found[name] += (cpu_s(process) - used) / (BLOCK * blocks) if number else 0.0
        own.watch(BLOCK * PAUSE_S, counts=bool(number))
    for link in links.values():
        link.close()
    return found


class Scheduled:
    """An exporter on its own schedule, which stands still (SIGSTOP) while others are measured."""

    def __init__(self, process: psutil.Process, port: int) -> None:
        self.process = process
        self.link = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.spent_s = self.rounds = 0.0
        get(self.link, "/metrics")
        process.suspend()

    def watch(self, seconds: float, *, counts: bool) -> None:
        """Lets it ask for so long; the rounds that were due while it stood are left out by itself, in its first moments, not watched."""
        self.process.resume()
        time.sleep(2 * EVERY_S)
        before, used = rounds(get(self.link, "/metrics")), cpu_s(self.process)
        time.sleep(seconds)
        spent = cpu_s(self.process) - used
        after = rounds(get(self.link, "/metrics"))
        self.process.suspend()
        if counts:
            self.spent_s += spent
            self.rounds += after - before

    def scrape_s(self) -> float:
        """CPU seconds of one scrape of all instances, what the rounds meanwhile take left out."""
        self.process.resume()
        time.sleep(2 * EVERY_S)
        before, used = rounds(get(self.link, "/metrics")), cpu_s(self.process)
        for _ in range(BLOCK):
            text = get(self.link, "/metrics")
        asked = (rounds(text) - before) * self.spent_s / self.rounds
        return max(0.0, cpu_s(self.process) - used - asked) / BLOCK


def get(link: http.client.HTTPConnection, path: str) -> str:
    """One answer over a connection that is kept, as Prometheus keeps its own."""
    link.request("GET", path, headers={"X-Prometheus-Scrape-Timeout-Seconds": "10", "Accept": "text/plain;version=0.0.4"})
    return link.getresponse().read().decode()


def rounds(text: str) -> float:
    """How many rounds ended."""
    return sum(float(value) for value in re.findall(r"^canvas_probe_rounds_total\{.*\} (\S+)$", text, re.MULTILINE))


def cpu_s(process: psutil.Process) -> float:
    """CPU seconds that a process has used, in user space and for it in the kernel."""
    times = process.cpu_times()
    return float(times.user + times.system)


@contextmanager
def blackbox_exporter(path: str, place: Path) -> Iterator[tuple[psutil.Process, int]]:
    """Debian's, with a module that asks over HTTP as ours does: with a token, and no new address family tried."""
    config = place / "blackbox.yml"
    config.write_text("modules: {http_2xx: {prober: http, http: {preferred_ip_protocol: ip4}}}\n", encoding="utf-8")
    port = free_port()
    words = [path, f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
    with started(words, place) as process:
        answers(port)
        yield process, port


@contextmanager
def exporter(place: Path, server: Running, instances: int, every_s: float) -> Iterator[tuple[psutil.Process, int]]:
    """`probes export` of so many instances, all of them the one server."""
    config = place / "probes.toml"
    tables = (f'[instances.i{number}]\nurl = "{server.url}"\ntoken_env = "TOKEN_BENCH"\n' for number in range(instances))
    config.write_text("".join(tables), encoding="utf-8")
    port = free_port()
    words = [sys.executable, "-m", "probes", "export", "--listen", f"127.0.0.1:{port}", "--every", f"{every_s:g}s", "--quiet"]
    with started(words, place) as process:
        answers(port)
        yield process, port


@contextmanager
def started(words: list[str], place: Path) -> Iterator[psutil.Process]:
    """A process for the time of the block."""
    environment = {**os.environ, "TOKEN_BENCH": "bench", "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(words, cwd=place, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield psutil.Process(process.pid)
        finally:
            psutil.Process(process.pid).resume()
            process.terminate()


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def answers(port: int, within_s: float = 30.0) -> None:
    """Waits until something listens there."""
    end = time.monotonic() + within_s
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < end, f"nothing listens at {port}"
            time.sleep(0.05)
        else:
            return


def tell(numbers: dict[str, Any]) -> None:
    """The table."""
    share = numbers["scrape_ms"] / numbers["scraped_instances"]
    rows = [
        ("blackbox_exporter, /probe", numbers["blackbox_ms"], 1.0, ""),
        ("probes export, /probe", numbers["probe_ms"], numbers["probe_ratio"], f"<= {PER_PROBE}"),
        ("probes export, own schedule", numbers["round_ms"], numbers["round_ratio"], f"<= {PER_ROUND}"),
        (f"  its share of a scrape of {numbers['scraped_instances']} instances", share, share / numbers["blackbox_ms"], ""),
    ]
    print(f"{'CPU of a probe':<44}{'ms':>8}{'ratio':>8}  asked")
    for name, value, ratio, asked in rows:
        print(f"{name:<44}{value:>8.2f}{ratio:>8.2f}  {asked}".rstrip())


if __name__ == "__main__":
    sys.exit(main())
