"""One call through a limiter's gate, whoever sends it: what becomes of its ticket. `gates` and `adapter` are the shells around it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from probes.limiter import Limiter


class Admission:
    """A block, `with` or `async with`, in which one call to `host` is sent; before it begins a ticket is waited for.

    The ticket goes back with what the answer said; unused when the block ends with an error by which the call was `never_sent`; as lost
    when it ends with any other, a cancellation too. A host that keeps no bucket needs no ticket, until an answer of its tells otherwise.
    """

    def __init__(self, limiter: Limiter, host: str, never_sent: Callable[[BaseException], bool]) -> None:
        self._limiter = limiter
        self._host = host
        self._never_sent = never_sent
        self._passes_by = limiter.hosts.passes_by(host)
        self._ticket = -1
        self._sent_s = 0.0

    def __enter__(self) -> Self:
        if not self._passes_by:
            self._ticket = self._limiter.acquire()
        return self._sent()

    async def __aenter__(self) -> Self:
        if not self._passes_by:
            self._ticket = await self._limiter.acquire_async()
        return self._sent()

    def _sent(self) -> Self:
        self._sent_s = time.perf_counter()
        return self

    def reads_body(self, status: int) -> bool:
        """Whether `answered` has to be told the body: a refusal may be a 403 that says so in its text."""
        return status == 403 and not self._passes_by

    def answered(self, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
        """Books the answer; `body` (decoded) where `reads_body` asks for it."""
        if self._passes_by:
            self._limiter.hosts.passed(self._host, status, headers)
            return
        seconds = time.perf_counter() - self._sent_s
        self._limiter.release(self._ticket, **self._limiter.hosts.answered(self._host, seconds, status, headers, body))

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or self._passes_by:
            return
        if self._never_sent(error):
            self._limiter.withdraw(self._ticket)
        else:
            self._limiter.release(self._ticket, lost=True)

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.__exit__(kind, error, trace)


class Turn:
    """A block, `with` or `async with`, for which a ticket is waited for: `Limiter.ticket`. A call that an error ends may have been sent."""

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter
        self._ticket = -1

    def __enter__(self) -> int:
        self._ticket = self._limiter.acquire()
        return self._ticket

    async def __aenter__(self) -> int:
        self._ticket = await self._limiter.acquire_async()
        return self._ticket

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._limiter.release(self._ticket, lost=error is not None)  # does nothing for one that is back already

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.__exit__(kind, error, trace)
