"""The simulator over TCP: in this process until stopped (`serve`), or in a child process for the time of a block (`Served`)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from probes.clock import run
from probes.errors import ProbesError
from probes.simulator.settings import SimulatorSettings
from probes.system import APART, claim, orphaned

if TYPE_CHECKING:
    import uvicorn

HOST = "127.0.0.1"
KEEP_ALIVE_S = 75
STOP_S = 5.0
"""How long a child has to go before it is killed."""
WATCH_S, LOOK_S = 0.25, 0.05
"""How often a child looks whether its parent is there, and a server whether it is to stop."""


class Served:
    """A simulator in a child process of its own, on loopback; ready when the block begins, gone when it or this process ends.

    `port=0` takes any free one. Raises ProbesError when it cannot start.
    """

    def __init__(self, settings: SimulatorSettings | None = None, port: int = 0) -> None:
        self.settings = SimulatorSettings() if settings is None else settings
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it answers, without a trailing slash."""
        return f"http://{HOST}:{self.port}"

    @property
    def token(self) -> str:
        """The token that opens it."""
        return self.settings.token

    @property
    def pid(self) -> int:
        """The child's process id."""
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Starts the child and waits until it answers."""
        from probes.simulator.settings_file import as_table

        self._process = subprocess.Popen(
            [sys.executable, "-m", "probes.simulator.server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, **APART
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {"port": self.port, "settings": as_table(self.settings), "parent": os.getpid()}
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer.startswith(b"{"):
            self.stop()
            raise ProbesError("The simulator did not start; its own words are above.")
        told = json.loads(answer)
        if "error" in told:
            self.stop()
            raise ProbesError(told["error"])
        self.port = told["port"]

    def stop(self) -> None:
        """Ends the child; harmless when it has ended."""
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def serve(settings: SimulatorSettings, port: int, ready: Callable[[int], None], stop: threading.Event | None = None) -> None:
    """Serves until a signal or until `stop` is set; calls `ready` with the port when it answers.

    Raises ProbesError when the port is taken; KeyboardInterrupt after Ctrl-C.
    """
    from uvicorn import Server

    if settings.epoch_s is None:
        settings = settings.changed(epoch_s=float(int(time.time())))
    with _listening(port) as listener:
        run(_run(Server(_config(settings)), listener, ready, stop))


def _listening(port: int) -> socket.socket:
    """A socket bound to `port`. Raises ProbesError when it is taken."""
    # the protocol is named because asyncio sets TCP_NODELAY only then; without it every answer waits 40 ms for an acknowledgement
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    claim(listener)
    try:
        listener.bind((HOST, port))
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or error
        raise ProbesError(f"Port {port} on {HOST} cannot be used: {reason}; choose another with --port, or 0 for any.") from None
    return listener


def _config(settings: SimulatorSettings) -> uvicorn.Config:
    from uvicorn import Config

    from probes.simulator.app import create_app
    from probes.simulator.connections import RecordingProtocol

    return Config(
        create_app(settings),
        http=RecordingProtocol,
        ws="none",
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=65_536,
    )


async def _run(server: uvicorn.Server, listener: socket.socket, ready: Callable[[int], None], stop: threading.Event | None) -> None:
    task = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn offers a flag and no event
        await asyncio.sleep(0.005)
    if not task.done():
        ready(listener.getsockname()[1])
    while not task.done():
        if stop is not None and stop.is_set():
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # requests that hang are meant to
            server.should_exit = True
            break
        await asyncio.wait([task], timeout=LOOK_S)
    await task


def _child() -> None:
    """Serves what the first line on stdin orders, until stdin ends or the parent is gone."""
    order = json.loads(sys.stdin.buffer.readline())
    stop = threading.Event()
    threading.Thread(target=_watch, args=(order["parent"], stop), daemon=True).start()
    from probes.simulator.settings_file import settings_of

    try:
        serve(settings_of(order["settings"], "settings"), order["port"], lambda port: _tell({"port": port}), stop)
    except ProbesError as error:
        _tell({"error": str(error)})


def _watch(parent: int, stop: threading.Event) -> None:
    """Sets `stop` when stdin ends; a second thread looks whether the parent still lives, as its other children may hold the pipe open."""

    def look() -> None:
        while not orphaned(parent):
            time.sleep(WATCH_S)
        stop.set()

    threading.Thread(target=look, daemon=True).start()
    while os.read(0, 4096):
        pass
    stop.set()


def _tell(words: dict[str, Any]) -> None:
    print(json.dumps(words), flush=True)  # noqa: T201 - the parent reads it


if __name__ == "__main__":
    _child()
