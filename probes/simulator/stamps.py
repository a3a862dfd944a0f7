"""The headers that the application server puts on every answer: request id, run time, quota, meta."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

from probes.simulator import graphql
from probes.simulator.asks import Ask
from probes.simulator.replies import Reply
from probes.simulator.services import Work
from probes.simulator.throttle import Identity, ruby_float

SHARD = 10_000_000_000_000
"""What global ids add to local ones."""
SYSTEM_SHARE = 0.05
CONTEXTS = {"courses": "Course", "sections": "CourseSection", "accounts": "Account", "progress": "Progress"}


@dataclass(slots=True)
class Passage:
    """One request's way through the application server; instants of the loop's clock, cost units."""

    identity: Identity
    came_s: float
    begun_s: float = 0.0
    arrived_s: float = 0.0
    departed_s: float = 0.0
    admitted: bool = False
    cost: float = 0.0
    remaining: float = 0.0

    def record(self, ask: Ask, status: int | None, origin_s: float) -> dict[str, Any]:
        """As the log keeps it, in seconds from the simulator's start; the identity is a hash, never a token."""
        return {
            "method": ask.method,
            "path": ask.path,
            "identity": self.identity.key,
            "status": status,
            "entered_s": ask.entered_s,
            "came_s": self.came_s - origin_s,
            "arrived_s": self.arrived_s - origin_s,
            "departed_s": self.departed_s - origin_s,
            "cost": self.cost,
            "remaining": self.remaining,
            "admitted": self.admitted,
        }


def stamp(reply: Reply, ask: Ask, passage: Passage, work: Work) -> Reply:
    """`reply` with its headers."""
    settings, headers = ask.world.settings, reply.headers
    headers["x-request-context-id"] = ask.world.request_id()
    headers["x-runtime"] = f"{passage.departed_s - passage.begun_s:.6f}"
    if settings.canvas_meta:
        headers["x-canvas-meta"] = meta(ask, passage, work)
    if settings.quota_headers and passage.identity.shown and not (passage.admitted and work.route is None):
        _quota(headers, passage, told=passage.admitted and "throttled" not in ask.faults)
    if not passage.admitted and settings.retry_after:
        headers["retry-after"] = str(_wait_s(ask, passage))
    if work.user_id is not None:
        headers["x-canvas-user-id"] = str(SHARD + work.user_id)
        if ask.one("as_user_id") is not None:
            headers["x-canvas-real-user-id"] = str(SHARD + 1)
    if work.user_id is not None and settings.cookies:
        headers["set-cookie"] = "canvas_session=" + ask.world.request_id() + "; path=/; secure; HttpOnly"
    if reply.status == 200 and ask.method == "GET":
        _tag(reply, ask)
    return reply


def _tag(reply: Reply, ask: Ask) -> None:
    """A weak ETag over the body; 304 costs the server the same."""
    tag = f'W/"{hashlib.md5(reply.body, usedforsecurity=False).hexdigest()}"'
    reply.headers["etag"] = tag
    reply.headers["cache-control"] = "max-age=0, private, must-revalidate"
    if ask.headers.get("if-none-match") == tag:
        reply.status, reply.body = 304, b""


def meta(ask: Ask, passage: Passage, work: Work) -> str:
    """X-Canvas-Meta: key=value; in the order of adding; q in microseconds, u, y and d in seconds with two decimals."""
    parts = [f"q={round((passage.begun_s - passage.came_s) * 1e6)}"]
    if work.user_id is not None:
        parts += [f"at={SHARD + 1}", f"dk={SHARD + 10}"]
    if work.route is not None:
        controller, action = _names(work.route)
        parts += [f"o={controller}", f"n={action}"]
    parts += ask.marks
    if "id" in ask.ids and work.user_id is not None:
        parts += [f"t={CONTEXTS.get(ask.path.split('/')[3], 'User')}", f"i={ask.ids['id']}"]
    parts += ["b=511704", "m=511712", f"u={work.cpu_s:.2f}", f"y={work.cpu_s * SYSTEM_SHARE:.2f}", f"d={work.db_s:.2f}"]
    return ";".join(parts) + ";"


def _quota(headers: dict[str, str], passage: Passage, *, told: bool) -> None:
    """Remaining always, the cost only where it is `told`: not on refusals."""
    if told:
        headers["x-request-cost"] = ruby_float(passage.cost)
    headers["x-rate-limit-remaining"] = ruby_float(passage.remaining)


def _wait_s(ask: Ask, passage: Passage) -> int:
    """Whole seconds until one more request would pass."""
    constants = ask.world.throttle.constants(passage.identity)
    missing = constants.up_front_cost - passage.remaining
    return max(1, math.ceil(missing / constants.outflow_per_s))


def _names(route: str) -> tuple[str, str]:
    """Controller and action as Rails would name them."""
    method, _, pattern = route.partition(" ")
    if pattern == graphql.PATH:
        return "graphql", "execute"
    words = [part for part in pattern.split("/") if part and not part.startswith(":") and part not in ("api", "v1")]
    read = "show" if pattern.rpartition("/")[2].startswith((":", "self")) else "index"
    action = {"GET": read, "POST": "create", "PUT": "update"}.get(method, "destroy")
    return (words[-1] if words[-1] != "self" else words[0]), action
