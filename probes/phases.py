"""Where the time of one request went, from the events of httpcore's trace extension; around the call where a transport sends none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from probes.observation import Outcome

_AFTER_CONNECT = ("send_request_headers.started", "send_request_body.complete", "receive_response_headers.complete")
"""Events that a proxy's CONNECT also makes: they begin anew when TLS starts and when the real request goes."""


@dataclass(frozen=True, slots=True)
class Phases:
    """Seconds of each phase, None where it was not reached; `connect_s` and `tls_s` are 0.0 on a reused connection."""

    connect_s: float | None = None
    tls_s: float | None = None
    send_s: float | None = None
    wait_s: float | None = None
    receive_s: float | None = None
    reused: bool | None = None


class Trace:
    """Collects the instants of one request (the loop's time) and moves its deadline from phase to phase.

    Handed to httpx as the extension `trace`. Of a repeated event the last counts: behind a proxy the first is the CONNECT.
    """

    __slots__ = ("_clock", "_deadline", "_read_s", "at", "ended", "started", "traced")

    def __init__(self, clock: Callable[[], float], deadline: asyncio.Timeout, read_s: float) -> None:
        self._clock = clock
        self._deadline = deadline
        self._read_s = read_s
        self.at: dict[str, float] = {}
        self.started = clock()
        self.ended: float | None = None
        self.traced = False

    async def __call__(self, event: str, info: Mapping[str, Any]) -> None:  # noqa: ARG002 # httpcore's signature
        """Notes the instant of `event`, such as `http11.send_request_headers.started`."""
        self.note(event.partition(".")[2])

    def note(self, name: str) -> None:
        """The same, at once, of an event without its module: `send_request_headers.started`."""
        now = self.at[name] = self._clock()
        self.traced = True
        if name in ("send_request_headers.started", "start_tls.started"):
            for later in _AFTER_CONNECT:
                if later != name:
                    self.at.pop(later, None)
        if name in ("send_request_headers.started", "receive_response_headers.complete") and not self._deadline.expired():
            self._deadline.reschedule(now + self._read_s)

    @property
    def sent(self) -> float | None:
        """When the first byte of the request went."""
        return self.at.get("send_request_headers.started") if self.traced else self.started

    @property
    def received(self) -> float | None:
        """When the last byte of the answer came, as far as it came."""
        return self.at.get("receive_response_body.complete", self.ended)

    def answered(self) -> None:
        """The header of the answer is here; noted by the caller for transports without events."""
        if not self.traced:
            self.at["receive_response_headers.complete"] = self._clock()

    def end(self) -> None:
        """The body is read, or as much of it as will be."""
        self.ended = self._clock()

    def overdue(self) -> tuple[Outcome, str]:
        """Which wait was too long when the deadline passed."""
        if not self.traced:
            return Outcome.READ_TIMEOUT, "no answer"
        if "send_request_headers.started" not in self.at:
            part = "TLS handshake" if "start_tls.started" in self.at else "connection"
            return Outcome.CONNECT_TIMEOUT, f"no {part}"
        if "send_request_body.complete" not in self.at:
            return Outcome.WRITE_TIMEOUT, "the request could not be written"
        whole = "receive_response_headers.complete" not in self.at
        return Outcome.READ_TIMEOUT, "no answer" if whole else "no end of the body"

    def phases(self, *, cold: bool, secure: bool) -> Phases:
        """The phases so far; `cold` is whether a transport without events stands for a new connection."""
        if not self.traced:
            return self._untraced(cold=cold)
        fresh = "connect_tcp.started" in self.at
        plain = fresh and not secure and "connect_tcp.complete" in self.at
        return Phases(
            connect_s=self._span("connect_tcp.started", "connect_tcp.complete") if fresh else 0.0,
            tls_s=0.0 if plain or not fresh else self._span("start_tls.started", "start_tls.complete"),
            send_s=self._span("send_request_headers.started", "send_request_body.complete"),
            wait_s=self._span("send_request_body.complete", "receive_response_headers.complete"),
            receive_s=self._since("receive_response_headers.complete"),
            reused=not fresh,
        )

    def _untraced(self, *, cold: bool) -> Phases:
        answered = self.at.get("receive_response_headers.complete")
        wait = None if answered is None else answered - self.started
        return Phases(0.0, 0.0, 0.0, wait, self._since("receive_response_headers.complete"), reused=not cold)

    def _span(self, start: str, end: str) -> float | None:
        if start not in self.at or end not in self.at:
            return None
        return max(0.0, self.at[end] - self.at[start])

    def _since(self, start: str) -> float | None:
        received = self.received
        return None if received is None or start not in self.at else max(0.0, received - self.at[start])
