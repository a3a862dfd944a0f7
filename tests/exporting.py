"""`probes export` in a process of its own, at a free port."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Exporting:
    """A running exporter of the one instance `beta`."""

    process: subprocess.Popen[str]
    url: str
    token: str
    config: Path

    def metrics(self) -> str:
        """What it exposes now."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as answer:
            return str(answer.read().decode())

    def when(self, told: Callable[[str], bool], within_s: float = 15.0) -> str:
        """What it exposes once `told` is true of it."""
        end = time.monotonic() + within_s
        while not told(text := self.metrics()):
            assert time.monotonic() < end, text
            time.sleep(0.05)
        return text

    def rest(self) -> str:
        """What else it said."""
        assert self.process.stderr is not None
        return self.process.stderr.read()


@contextmanager
def exporting(place: Path, url: str, token: str, every: str = "1s", more: tuple[str, ...] = ()) -> Iterator[Exporting]:
    """Serves while the block lasts."""
    config = place / "probes.toml"
    config.write_text(f'[instances.beta]\nurl = "{url}"\ntoken_env = "TOKEN_BETA"\n', encoding="utf-8")
    words = [sys.executable, "-m", "probes", "export", "--listen", "127.0.0.1:0", "--every", every, *more]
    process = subprocess.Popen(words, cwd=place, env={**os.environ, "TOKEN_BETA": token}, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
        found = re.search(r"https?://[\d.:]+", line)
        assert found, line + process.stderr.read()
        yield Exporting(process, found[0], token, config)
    finally:
        process.terminate()
        process.wait(15)
        process.stderr.close()
