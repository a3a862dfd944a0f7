"""What this tool itself adds to a latency, measured against a server that does nothing, on this machine and now."""

from __future__ import annotations

import asyncio
import statistics

from probes.calls import Call
from probes.client import Client
from probes.config import Instance, Kind

_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


class _NoOp(asyncio.Protocol):
    """Answers whatever ends a request's header, at once and in one segment."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if data.endswith(b"\r\n\r\n"):
            self._transport.write(_ANSWER)


async def measured_overhead(requests: int = 100) -> float:
    """Median seconds from the first byte sent to the last received over a warm loopback connection, nothing served.

    Needs a real loop: not under virtual time. Raises OSError when no port can be opened on loopback.
    """
    server = await asyncio.get_running_loop().create_server(_NoOp, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    call = Call("GET", "/")
    try:
        async with Client(Instance("overhead", f"http://127.0.0.1:{port}", Kind.SIMULATED)) as client:
            seen = [await client.send(call, scenario="overhead") for _ in range(requests + 5)]
    finally:
        server.close()
        await server.wait_closed()
    return statistics.median(one.flight_s for one in seen[5:] if one.flight_s is not None)
