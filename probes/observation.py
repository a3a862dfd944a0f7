"""One request and all that was seen of it: Quota, Outcome, Observation.

An Observation is frozen and flat; `line` writes it as one JSON line and `from_line` reads it back. The line is the border between
stages and processes: client, locustfiles, report and exporter share nothing else.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """How one request ended; a closed list."""

    OK = "ok"
    THROTTLED = "throttled"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NO_USER_AGENT = "no_user_agent"
    REDIRECTED = "redirected"
    MAINTENANCE = "maintenance"
    CANCELLED = "cancelled"
    DNS_ERROR = "dns_error"
    NOT_FOUND = "not_found"
    CLIENT_ERROR = "client_error"
    SERVER_ERROR = "server_error"
    GATEWAY_ERROR = "gateway_error"
    CONNECT_TIMEOUT = "connect_timeout"
    READ_TIMEOUT = "read_timeout"
    WRITE_TIMEOUT = "write_timeout"
    POOL_TIMEOUT = "pool_timeout"
    CONNECT_ERROR = "connect_error"
    TLS_ERROR = "tls_error"
    PROTOCOL_ERROR = "protocol_error"
    TOO_LARGE = "too_large"


_GARBLED = re.compile(
    "^DecodingError|illegal |malformed |bad Content-Length|conflicting Content-Length|multiple Transfer-Encoding|Only Transfer-Encoding"
    "|buffer too long|no response line|continuation line|status code must|should be in range"
)
"""How httpx and h11 tell of an answer that is not to be understood."""

NETWORK_OUTCOMES = frozenset(
    {
        Outcome.DNS_ERROR,
        Outcome.CONNECT_TIMEOUT,
        Outcome.READ_TIMEOUT,
        Outcome.WRITE_TIMEOUT,
        Outcome.POOL_TIMEOUT,
        Outcome.CONNECT_ERROR,
        Outcome.TLS_ERROR,
        Outcome.PROTOCOL_ERROR,
    }
)
"""Outcomes of requests that brought no whole answer."""


@dataclass(frozen=True, slots=True)
class Quota:
    """What one answer said about the budget. Units are the server's own; times in seconds; None where it said nothing usable.

    `window_s` is the length of the window that a counter holds for; an observation has it among its facts.
    """

    remaining: float | None = None
    cost: float | None = None
    limit: float | None = None
    reset_s: float | None = None
    retry_after_s: float | None = None
    window_s: float | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """One request. Times are seconds since the run's start; what was not seen is None.

    `due_s` is when the request should have gone (without a schedule: when ceilings and slots let it), `sent_s` when its first byte
    went (after our own queueing), `received_s` when its last byte came.
    Phases: `pool_s` our own wait for a slot, `connect_s`, `tls_s` (0.0 when `reused`), `send_s`, `wait_s` (to the first byte), `receive_s`.
    The server's own account: `server_time_s` (X-Runtime), `queue_s`, `cpu_s`, `db_s` (X-Canvas-Meta).
    `facts` holds what a scenario noted of the answer, small scalars only: `items`, `per_page`, `rels`, `state` ...
    """

    instance: str
    scenario: str
    call: str
    method: str
    path: str
    due_s: float
    sent_s: float | None
    received_s: float | None
    status: int | None
    outcome: Outcome
    remaining: float | None = None
    cost: float | None = None
    limit: float | None = None
    reset_s: float | None = None
    retry_after_s: float | None = None
    server_time_s: float | None = None
    queue_s: float | None = None
    cpu_s: float | None = None
    db_s: float | None = None
    request_id: str | None = None
    pool_s: float | None = None
    connect_s: float | None = None
    tls_s: float | None = None
    send_s: float | None = None
    wait_s: float | None = None
    receive_s: float | None = None
    reused: bool | None = None
    size_bytes: int | None = None
    error: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def garbled(self) -> bool:
        """Whether what came is no sound HTTP, or not packed as it says: a connection that breaks does nothing of that."""
        return self.outcome is Outcome.PROTOCOL_ERROR and _GARBLED.search(self.error or "") is not None

    @property
    def ok(self) -> bool:
        """Whether the call was answered as asked."""
        return self.outcome is Outcome.OK

    @property
    def latency_s(self) -> float | None:
        """Seconds from when the request was due to its last byte; None when no answer came."""
        return None if self.received_s is None or self.status is None else self.received_s - self.due_s

    @property
    def flight_s(self) -> float | None:
        """Seconds from the first byte sent to the last received: our own queueing left out."""
        if self.received_s is None or self.sent_s is None or self.status is None:
            return None
        return self.received_s - self.sent_s

    @property
    def quota(self) -> Quota:
        """What this answer said about the budget."""
        return Quota(self.remaining, self.cost, self.limit, self.reset_s, self.retry_after_s)

    def line(self) -> str:
        """This observation as one JSON line, newline included; numbers that JSON cannot carry become null."""
        record = {name: plain(getattr(self, name)) for name in FIELDS}
        return json.dumps(record, separators=(",", ":"), allow_nan=False) + "\n"

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Observation:
        """An observation from a parsed line; unknown keys are ignored so that newer files stay readable.

        Raises KeyError, TypeError or ValueError when the record is not an observation.
        """
        known = {name: record[name] for name in FIELDS if name in record}
        known["outcome"] = Outcome(record["outcome"])
        known["facts"] = dict(record.get("facts") or {})
        return cls(**known)

    @classmethod
    def from_line(cls, line: str | bytes) -> Observation:
        """An observation from its JSON line. Raises ValueError, KeyError or TypeError when it is not one."""
        return cls.from_record(json.loads(line))


FIELDS = tuple(f.name for f in dataclasses.fields(Observation))
"""Names of an observation's fields, in the order in which they are written."""


def plain(value: Any) -> Any:
    """`value` as JSON carries it: not a number and infinity become None, floats lose digits below a nanosecond."""
    if isinstance(value, float):
        return round(value, 9) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
