"""What one operating system does otherwise than the others: files that are appended to and replaced, timers, ports, processes, signals."""

from __future__ import annotations

import codecs
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    import socket

BINARY: int = getattr(os, "O_BINARY", 0)
"""Without it Windows writes each end of a line as two bytes."""
APART: dict[str, Any]
"""Words for subprocess.Popen: the child is no part of our terminal's group, so that Ctrl-C reaches it through us only."""
if sys.platform == "win32":
    APART = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
else:
    APART = {"start_new_session": True}
TRIES = 40
AGAIN_S = 0.05


def text_of(path: Path) -> str:
    """The text of a file that somebody wrote: UTF-8, or UTF-16 where a byte order mark says so, as `>` of Windows PowerShell 5 writes it.

    Raises OSError; UnicodeDecodeError for what is neither.
    """
    content = path.read_bytes()
    text = content.decode("utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def appending(path: Path) -> int:
    """A handle that appends bytes to `path` as they are, made where it is not there. Raises OSError."""
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | BINARY, 0o644)


def replace(draft: Path, path: Path) -> None:
    """Puts `draft` in the place of `path`. Raises OSError.

    Windows refuses while anybody reads `path`, a scanner for viruses too: there it is tried for two seconds.
    """
    for left in reversed(range(TRIES if sys.platform == "win32" else 1)):
        try:
            draft.replace(path)
        except PermissionError:
            if not left:
                raise
            time.sleep(AGAIN_S)
        else:
            return


def keep_time() -> None:
    """From now on timers of this process wake within a millisecond or two, which on Windows they do every 16 ms unless asked.

    So late a loop would be taken for a busy machine, and a load for one that could not keep its rate.
    """
    if sys.platform == "win32":
        import ctypes

        ctypes.WinDLL("winmm").timeBeginPeriod(1)


def claim(listener: socket.socket) -> None:
    """Before it is bound: a port that was just left can be taken at once, one that is in use cannot.

    What lets the first on other systems lets two processes share a port on Windows, which allows the first by itself.
    """
    import socket

    if sys.platform == "win32":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
    else:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)


def end(process: subprocess.Popen[bytes]) -> None:
    """Asks a child, started APART with a pipe as its stdin, to end in order: by SIGTERM; on Windows, which has none, by a word."""
    if sys.platform == "win32":
        assert process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended
            process.stdin.write(b"end\n")
            process.stdin.flush()
    else:
        process.terminate()


def kill(process: subprocess.Popen[bytes]) -> None:
    """Ends a child that was started APART hard, with those that it started; harmless where it has ended."""
    with contextlib.suppress(ProcessLookupError):
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def orphaned(parent_pid: int) -> bool:
    """Whether the process that started this one has ended, as far as the system tells.

    Windows does not: a process keeps the number of its parent, which in a virtual environment is that of a launcher between the two.
    There a child finds out by the end of its stdin.
    """
    return sys.platform != "win32" and os.getppid() != parent_pid


def heed(loop: asyncio.AbstractEventLoop, number: signal.Signals, act: Callable[[], None]) -> None:
    """Calls `act` in `loop`, which runs in the main thread, whenever the signal `number` comes. No loop of Windows does so itself."""
    if sys.platform == "win32":
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(act))
    else:
        loop.add_signal_handler(number, act)


def interrupt() -> None:
    """Ctrl-C, from any thread, meets this process once more."""
    if sys.platform == "win32":
        signal.raise_signal(signal.SIGINT)  # os.kill would end it there
    else:
        os.kill(os.getpid(), signal.SIGINT)
