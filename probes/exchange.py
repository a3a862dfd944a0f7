"""One request over the wire: what came back, how it ended, when its parts happened."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import httpx

from probes.observation import Outcome
from probes.phases import Trace
from probes.transport import CONNECT_S, Slot, failure


@dataclass(slots=True)
class Exchange:
    """What is seen of one request to `url` while it runs; complete or not, it can be read at any moment.

    `pool_s`: how long it waited on our side before the wire; `new`: whether its connection is a new one; `authorized`:
    whether it carries the token, where there is one. `failed` is how it ended on our side or on the way, None when the whole answer came.
    """

    url: str
    pool_s: float = 0.0
    new: bool = False
    authorized: bool = True
    trace: Trace | None = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    failed: Outcome | None = None
    error: str | None = None

    async def run(self, request: httpx.Request, slot: Slot, wait_s: float, max_body_bytes: int) -> None:
        """Sends `request` and reads the answer: at most `wait_s` for its header, as long again for its body. Raises CancelledError only."""
        connect_s = min(CONNECT_S, wait_s)
        try:
            async with asyncio.timeout(2 * connect_s if slot.owned else wait_s) as deadline:
                trace = self.trace = Trace(asyncio.get_running_loop().time, deadline, wait_s)
                timeouts = {"connect": connect_s, "read": wait_s, "write": wait_s, "pool": None}
                request.extensions = {"trace": trace, "timeout": timeouts}
                response = await slot.transport.handle_async_request(request)
                try:
                    await self._read(trace, response, max_body_bytes)
                finally:
                    await response.aclose()
        except asyncio.CancelledError:
            self.failed, self.error = Outcome.CANCELLED, "cancelled by this side"
            raise
        except TimeoutError:
            assert self.trace is not None
            self.failed, what = self.trace.overdue()
            self.error = f"{what} within {connect_s if self.failed is Outcome.CONNECT_TIMEOUT else wait_s:g} s"
        except Exception as error:  # noqa: BLE001 # whatever goes wrong on the way is data; the table in transport names it
            self.failed, self.error = failure(error)

    async def _read(self, trace: Trace, response: httpx.Response, max_body_bytes: int) -> None:
        trace.answered()
        self.status = response.status_code
        self.headers = _joined(response)
        parts: list[bytes] = []
        size = 0
        try:
            async for part in _unpacked(response):
                parts.append(part)
                size += len(part)
                if size > max_body_bytes:
                    self.failed = Outcome.TOO_LARGE
                    self.error = f"the body is larger than {max_body_bytes} bytes; the rest was not read"
                    break
        finally:
            trace.end()
            self.body = b"".join(parts)[:max_body_bytes]


async def _unpacked(response: httpx.Response) -> AsyncIterator[bytes]:
    """The body in parts. Raises httpx.DecodingError also where a gzip stream ends too early, which httpx takes for the whole of it."""
    if response.headers.get("content-encoding", "").strip().lower() != "gzip":
        async for part in response.aiter_bytes():
            yield part
        return
    stream, begun = zlib.decompressobj(zlib.MAX_WBITS | 16), False
    try:
        async for part in response.aiter_raw():
            begun = begun or bool(part)
            yield stream.decompress(part)
    except zlib.error as error:
        raise httpx.DecodingError(str(error)) from None
    if begun and not stream.eof:
        raise httpx.DecodingError("the packed body ends too early")


def _joined(response: httpx.Response) -> dict[str, str]:
    """Header fields by lower-case name, repeated ones joined by ', '."""
    fields: dict[str, str] = {}
    for raw_name, raw_value in response.headers.raw:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields
