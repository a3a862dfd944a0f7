"""Serves the exporter until a signal: SIGTERM ends it well, Ctrl-C interrupts it, SIGHUP reads the configuration again."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from probes.errors import ProbesError, UsageError
from probes.exporter.exporter import Exporter
from probes.exporter.site import application
from probes.exporter.tls import has_name
from probes.system import claim, heed

if TYPE_CHECKING:
    from probes.exporter.door import Door

STOP_S = 2
BACKLOG = 128
KEEP_S = 300
"""How long an idle connection is kept: Prometheus keeps its own over scrapes a minute or more apart, and a TLS handshake is dear."""
HANDSHAKE_S = 10.0
AGAIN_S = 0.1
TICK_S = 1.0
"""How often the header Date is made anew."""


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
    claim(opened)
    try:
        opened.bind((address.host, address.port))
        opened.listen(BACKLOG)
    except (OSError, UnicodeError) as error:
        opened.close()
        reason = getattr(error, "strerror", None) or error
        raise ProbesError(f"{address} cannot be used: {reason}; choose another with --listen HOST:PORT.") from None
    return opened


class _Protocol(H11Protocol):
    """uvicorn's, which lets nobody in whose certificate has none of the names that `door` wants."""

    def __init__(self, door: Door, config: uvicorn.Config, state: ServerState) -> None:
        super().__init__(config, state, {})
        self._door = door

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Begins, or ends at once."""
        super().connection_made(transport)
        tls = self._door.config.tls
        if tls is not None and tls.client_allowed_sans and not has_name(transport.get_extra_info("peercert"), tls.client_allowed_sans):
            transport.abort()


class _Server(uvicorn.Server):
    """uvicorn without its own signals, which it would raise again at the end; with a door each connection gets the TLS of its moment."""

    def __init__(self, config: uvicorn.Config, door: Door | None) -> None:
        super().__init__(config)
        self.stop = asyncio.Event()
        self._door = door
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listens; with a door it accepts by itself, as a server of asyncio keeps the TLS with which it began."""
        if self._door is None:
            await super().startup(sockets)
            return
        self.servers = []
        for opened in sockets or []:
            self._keep(self._accept(opened, self._door))
        self.started = True

    async def main_loop(self) -> None:
        """Waits for the end; uvicorn's own loop wakes ten times a second to look for it, which costs as much as three probes do."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stop.wait(), TICK_S)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accepts nobody else, then ends as uvicorn does."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await super().shutdown(sockets)

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, opened: socket.socket, door: Door) -> None:
        opened.setblocking(False)
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(opened)
            except OSError:  # too many open files, or gone before it was taken
                await asyncio.sleep(AGAIN_S)
                continue
            self._keep(self._begin(connection, door))

    async def _begin(self, connection: socket.socket, door: Door) -> None:
        """Shakes hands; who cannot is let go."""
        door.look()
        loop, secure = asyncio.get_running_loop(), door.context is not None
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.connect_accepted_socket(
                lambda: _Protocol(door, self.config, self.server_state),
                connection,
                ssl=door.context,
                ssl_handshake_timeout=HANDSHAKE_S if secure else None,
            )
        except OSError:  # ssl.SSLError and timeouts are such
            connection.close()


async def serve(make: Callable[[], Exporter], opened: socket.socket, ready: Callable[[int], None]) -> None:
    """Serves until a signal; `ready` gets the port once it answers. Raises ConfigError, and KeyboardInterrupt after Ctrl-C."""
    exporter = make()
    await exporter.start()
    config = uvicorn.Config(
        application(exporter),
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_S,
        timeout_graceful_shutdown=STOP_S,
    )
    server = _Server(config, exporter.door)
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


def _signals(server: _Server, exporter: Exporter) -> list[int]:
    """Handlers for the signals; the list that comes back holds SIGINT once it came."""
    loop, interrupted, reloads = asyncio.get_running_loop(), list[int](), set[asyncio.Task[str | None]]()

    def stop() -> None:
        server.should_exit = True
        server.stop.set()

    def interrupt() -> None:
        interrupted.append(signal.SIGINT)
        stop()

    def reload() -> None:
        task = loop.create_task(exporter.reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    heed(loop, signal.SIGTERM, stop)
    heed(loop, signal.SIGINT, interrupt)
    if sys.platform != "win32":
        heed(loop, signal.SIGHUP, reload)
    return interrupted
