"""Sending an answer, properly or not. What breaks HTTP itself is written past the server, straight to the connection."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from probes.simulator.edge import BrokenError
from probes.simulator.replies import Reply
from probes.simulator.settings import Fault

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Connections = dict[tuple[str, int], asyncio.Transport]
CONNECTIONS: Connections = {}
"""Open connections of this process by the client's address; the server's protocol keeps it (empty when called in process)."""

HUGE_BYTES = 200_000_000
HUGE_CHUNK = 65_536
DRIPS = 10
RAW = ("truncated_body", "reset_body", "wrong_content_length", "garbage")


async def transmit(reply: Reply, scope: Scope, send: Send, faults: dict[str, Fault], *, title_case: bool = False) -> bool:
    """Sends `reply`; whether the connection was broken on purpose.

    Raises BrokenError where there is no connection to break, as in process.
    """
    if "slow_headers" in faults:
        await asyncio.sleep(faults["slow_headers"].seconds)
    raw = next((kind for kind in RAW if kind in faults), None)
    if raw is not None:
        hang_up(scope, raw, _raw(reply, raw, faults[raw]))
        return True
    if "huge_body" in faults:
        await _huge(reply, send, int(faults["huge_body"].number) or HUGE_BYTES)
        return False
    body = b"" if scope["method"] == "HEAD" else reply.body
    await send(_start(reply, len(reply.body), title_case=title_case))
    if "slow_body" in faults:
        await _drip(body, send, faults["slow_body"].seconds)
    else:
        await send({"type": "http.response.body", "body": body})
    return False


def hang_up(scope: Scope, kind: str, data: bytes = b"") -> None:
    """Writes `data` and ends the connection: by a reset where `kind` says so. Raises BrokenError when there is no connection."""
    transport = CONNECTIONS.get(tuple(scope.get("client") or ("", 0)))
    if transport is None:
        raise BrokenError(kind)
    if data:
        transport.write(data)
    if "reset" in kind:
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()


def _start(reply: Reply, length: int | None, *, title_case: bool = False) -> MutableMapping[str, Any]:
    named = {**reply.headers} if length is None else {**reply.headers, "content-length": str(length)}
    cased = {"-".join(w.title() for w in k.split("-")) if title_case else k: v for k, v in named.items()}
    return {
        "type": "http.response.start",
        "status": reply.status,
        "headers": [(k.encode(), v.encode("latin-1", "replace")) for k, v in cased.items()],
    }


async def _drip(body: bytes, send: Send, seconds: float) -> None:
    size = max(1, -(-len(body) // DRIPS))
    for start in range(0, len(body), size):
        await asyncio.sleep(seconds / DRIPS)
        await send({"type": "http.response.body", "body": body[start : start + size], "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _huge(reply: Reply, send: Send, size: int) -> None:
    """A JSON list of strings of about `size` bytes."""
    await send(_start(reply, None))
    item = b'"' + b"x" * 1022 + b'",'
    chunk = item * (HUGE_CHUNK // len(item))
    await send({"type": "http.response.body", "body": b"[", "more_body": True})
    for _ in range(max(1, size // len(chunk))):
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b'"end"]'})


def _raw(reply: Reply, kind: str, fault: Fault) -> bytes:
    if kind == "garbage":
        return b"\x16\x03\x01 this is no HTTP\r\n\r\n"
    off = int(fault.number) or 10
    length = len(reply.body) + (off if kind == "wrong_content_length" else 0)
    headers = "".join(f"{name}: {value}\r\n" for name, value in {**reply.headers, "content-length": str(max(0, length))}.items())
    body = reply.body if kind == "wrong_content_length" else reply.body[: len(reply.body) // 2]
    return f"HTTP/1.1 {reply.status} OK\r\n{headers}\r\n".encode("latin-1") + body
