"""What a dialect is: how one API tells its limits, refuses and pages. One literal table a file, plus two or three pure functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from probes.observation import Outcome, Quota

Headers = Mapping[str, str]
"""Header fields of one answer; names in lower case, repeated fields joined by ', '."""


@dataclass(frozen=True, slots=True)
class ServerAccount:
    """What the server itself says of one request; seconds, None where it says nothing."""

    server_time_s: float | None = None
    queue_s: float | None = None
    cpu_s: float | None = None
    db_s: float | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one API tells its limits.

    `quota` reads the budget, `outcome` names how an answered request ended (status, headers, start of the body), `server` the server's own
    account. `levels` is whether Remaining is a live level meter of a leaky bucket (Canvas) rather than a count in a window.
    `self_path` is the cheapest authenticated read, `list_path` a list that pages, `page_size` the parameter that sets its size, None where
    there is none.
    """

    name: str
    title: str
    quota: Callable[[Headers], Quota]
    outcome: Callable[[int, Headers, bytes], Outcome]
    server: Callable[[Headers], ServerAccount]
    self_path: str
    list_path: str
    page_size: str | None = "per_page"
    paging: str = "link"
    levels: bool = False
    authorization: str = "Bearer {token}"
    health_path: str | None = None
    accept: str = "application/json"
    notes: tuple[str, ...] = field(default=())
