"""The server's protocol, which remembers its open connections so that faults can break them."""

from __future__ import annotations

import asyncio
from typing import cast

from uvicorn.protocols.http.h11_impl import H11Protocol

from probes.simulator.broken import CONNECTIONS


class RecordingProtocol(H11Protocol):
    """uvicorn's protocol; the connection of a client is found by the client's address."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn declares it
        """Remembers the connection."""
        super().connection_made(transport)
        self._peer = cast("tuple[str, int]", tuple(transport.get_extra_info("peername")[:2]))
        CONNECTIONS[self._peer] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets it."""
        CONNECTIONS.pop(self._peer, None)
        super().connection_lost(exc)
