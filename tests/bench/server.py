"""A server that does next to nothing and remembers everything: what the load's bench and its tests send to.

`python tests/bench/server.py '{"delay_s": 0.02}'` prints its port. Raw asyncio, a process of its own, nothing shared with those it judges.
Keys: `delay_s` before each answer; `stall_every_s` and `stall_s`: silent in the last `stall_s` of each period, counted from the first
request; `refuse` [from, to): requests of these numbers are refused with 429; `status_from` [number, status]: from there on that status;
`remaining` the budget header; `pages` how many pages a list has; `drop_from`: closes the connection without an answer from that number
on; `cert`, `key`: TLS.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REASONS = {200: "OK", 401: "Unauthorized", 429: "Too Many Requests", 500: "Internal Server Error", 503: "Service Unavailable"}


@dataclass
class Server:
    """State of a server: when each request came (CLOCK_MONOTONIC), its line, the greatest number in flight."""

    settings: dict[str, Any]
    arrivals: list[float] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    authorizations: set[str] = field(default_factory=set)
    flying: int = 0
    peak: int = 0
    answered: int = 0
    connections: int = 0
    keep_lines: bool = True

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if not await self._one(head, writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _one(self, head: bytes, writer: asyncio.StreamWriter) -> bool:
        arrived = time.monotonic()
        line = head[: head.index(b" HTTP/")].decode()
        if line == "GET /_report":
            await self._send(writer, 200, json.dumps(self.report()).encode(), "", plainly=True)
            return True
        number = len(self.arrivals)
        if self.settings.get("forget"):
            self.arrivals[:] = [arrived]
        else:
            self.arrivals.append(arrived)
        if len(self.lines) < 5000:
            self.lines.append(line)
            self.authorizations.update(row for row in head.decode("latin-1").split("\r\n") if row.lower().startswith("authorization"))
        self.flying += 1
        self.peak = max(self.peak, self.flying)
        try:
            await self._wait(arrived)
        finally:
            self.flying -= 1
        if number >= self.settings.get("drop_from", float("inf")):
            return False
        status, body, link = self._answer(number, line)
        await self._send(writer, status, body, link)
        self.answered += 1
        return True

    async def _wait(self, arrived: float) -> None:
        delay = self.settings.get("delay_s", 0.0)
        every, stall = self.settings.get("stall_every_s"), self.settings.get("stall_s", 0.0)
        if every:
            within = (arrived - self.arrivals[0]) % every
            delay += max(0.0, every - within) if within >= every - stall else 0.0
        if delay:
            await asyncio.sleep(delay)

    def _answer(self, number: int, line: str) -> tuple[int, bytes, str]:
        first, last = self.settings.get("refuse", (0, 0))
        if first <= number < last:
            return 429, b"429 Too Many Requests (Rate Limit Exceeded)\n", ""
        since, status = self.settings.get("status_from", (float("inf"), 200))
        if number >= since:
            return status, b'{"errors":[]}', ""
        return self._list(line) if "?" in line and "task=" not in line else (200, b'{"id":1}', "")

    def _list(self, line: str) -> tuple[int, bytes, str]:
        path = line.split()[1]
        page = int(path.split("&page=")[1]) if "&page=" in path else 1
        items = [{"id": 100 * page + n} for n in range(5)]
        more = page < self.settings.get("pages", 1)
        target = f"{path.split('&page=')[0]}&page={page + 1}"
        link = f'Link: <{self.settings["url"]}{target}>; rel="next"\r\n' if more else ""
        return 200, json.dumps(items).encode(), link

    async def _send(self, writer: asyncio.StreamWriter, status: int, body: bytes, link: str, *, plainly: bool = False) -> None:
        remaining = self.settings.get("remaining", 600.0)
        if self.settings.get("hints") and not plainly:
            writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
            await writer.drain()
        writer.write(
            f"HTTP/1.1 {status} {REASONS[status]}\r\nContent-Type: application/json\r\n"
            f"X-Rate-Limit-Remaining: {remaining}\r\nX-Request-Cost: 0.4\r\n"
            f"X-Runtime: 0.01\r\nX-Request-Context-Id: 1f0c\r\n{link}Content-Length: {len(body)}\r\n\r\n".encode()
        )
        pause = None if plainly else self.settings.get("drip_s")
        for part in [body] if pause is None else [body[n : n + 1] for n in range(len(body))]:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause or 0.0)

    def report(self) -> dict[str, Any]:
        """What was seen."""
        return {
            "arrivals": self.arrivals,
            "lines": self.lines,
            "authorizations": sorted(self.authorizations),
            "peak": self.peak,
            "answered": self.answered,
            "connections": self.connections,
        }


async def main(settings: dict[str, Any]) -> None:
    """Serves until it is killed."""
    state = Server(settings)
    context = None
    if "cert" in settings:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(settings["cert"], settings["key"])
    server = await asyncio.start_server(state.serve, "127.0.0.1", 0, ssl=context, backlog=1024)
    port = server.sockets[0].getsockname()[1]
    settings["url"] = f"{'https' if context else 'http'}://127.0.0.1:{port}"
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await server.serve_forever()


@dataclass(frozen=True)
class Running:
    """A server in a process of its own."""

    url: str
    port: int
    pid: int

    def report(self) -> dict[str, Any]:
        """What it saw so far."""
        context = ssl._create_unverified_context() if self.url.startswith("https") else None  # the test's own certificate
        with urllib.request.urlopen(f"{self.url}/_report", timeout=20, context=context) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


@contextmanager
def running(**settings: Any) -> Iterator[Running]:
    """A server for the time of the block."""
    words = [sys.executable, str(Path(__file__).resolve()), json.dumps(settings)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            yield Running(f"{'https' if 'cert' in settings else 'http'}://127.0.0.1:{port}", port, process.pid)
        finally:
            process.kill()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}))
