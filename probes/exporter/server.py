"""Serves the exporter until a signal: SIGTERM ends it well, Ctrl-C interrupts it, SIGHUP reads the configuration again."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import uvicorn

from probes.errors import ProbesError, UsageError
from probes.exporter.exporter import Exporter
from probes.exporter.site import create_app

STOP_S = 2
BACKLOG = 128


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; port 0 takes any free one."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """`127.0.0.1:9777`, `:9777` (every interface), `[::1]:9777`. Raises UsageError."""
        host, colon, port = text.rpartition(":")
        if not colon or not port.isdecimal() or int(port) > 65535:
            raise UsageError(f"--listen {text}: write it as HOST:PORT, as 127.0.0.1:9777.")
        return cls(host.removeprefix("[").removesuffix("]"), int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def listener(address: Address) -> socket.socket:
    """An open socket at `address`. Raises ProbesError when it cannot be had."""
    try:
        # the protocol is named because asyncio sets TCP_NODELAY only then
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        opened = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except OSError as error:
        raise ProbesError(f"{address} cannot be used: {error.strerror}.") from None
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((address.host, address.port))
        opened.listen(BACKLOG)
    except (OSError, UnicodeError) as error:
        opened.close()
        reason = getattr(error, "strerror", None) or error
        raise ProbesError(f"{address} cannot be used: {reason}; choose another with --listen HOST:PORT.") from None
    return opened


class _Server(uvicorn.Server):
    """uvicorn without its own signals: it would raise them again at the end."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None."""
        yield


async def serve(make: Callable[[], Exporter], opened: socket.socket, ready: Callable[[int], None]) -> None:
    """Serves until a signal; `ready` gets the port once it answers. Raises ConfigError, and KeyboardInterrupt after Ctrl-C."""
    exporter = make()
    await exporter.start()
    config = uvicorn.Config(
        create_app(exporter),
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=STOP_S,
    )
    server = _Server(config)
    interrupted = _signals(server, exporter)
    try:
        task = asyncio.create_task(server.serve(sockets=[opened]))
        while not server.started and not task.done():  # noqa: ASYNC110 # uvicorn offers a flag and no event
            await asyncio.sleep(0.005)
        if not task.done():
            ready(opened.getsockname()[1])
        await task
    finally:
        await exporter.close()
    if interrupted:
        raise KeyboardInterrupt


def _signals(server: uvicorn.Server, exporter: Exporter) -> list[int]:
    """Handlers for the signals; the list that comes back holds SIGINT once it came."""
    loop, interrupted, reloads = asyncio.get_running_loop(), list[int](), set[asyncio.Task[str | None]]()

    def stop() -> None:
        server.should_exit = True

    def interrupt() -> None:
        interrupted.append(signal.SIGINT)
        stop()

    def reload() -> None:
        task = loop.create_task(exporter.reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    loop.add_signal_handler(signal.SIGTERM, stop)
    loop.add_signal_handler(signal.SIGINT, interrupt)
    loop.add_signal_handler(signal.SIGHUP, reload)
    return interrupted
