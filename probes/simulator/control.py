"""Control endpoints below /_simulator/, for loopback only: what was seen, reset, faults, mail. Not throttled, not counted."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, MutableMapping
from dataclasses import asdict
from typing import Any

import orjson

from probes.errors import ConfigError
from probes.simulator.faults import KINDS, fault_of
from probes.simulator.replies import Reply, as_json
from probes.simulator.world import World

PREFIX = "/_simulator/"


class Control:
    """GET state, count, log, mail, faults; POST reset, faults."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._gets: dict[str, Callable[[], Any]] = {
            "state": self._state,
            "count": self._state,
            "log": lambda: list(world.counts.log),
            "mail": lambda: [asdict(mail) for mail in world.outbox],
            "faults": lambda: {"active": [asdict(fault) for fault in world.faults.active], "kinds": KINDS},
        }

    async def answer(self, scope: MutableMapping[str, Any], path: str, body: bytes) -> Reply:
        """The answer to one control request."""
        if not _loopback((scope.get("client") or ("127.0.0.1", 0))[0]):
            return as_json({"error": "control is for loopback only"}, 403)
        name = path.removeprefix(PREFIX)
        if scope["method"] == "GET" and name in self._gets:
            return as_json(self._gets[name]())
        if scope["method"] == "POST" and name == "reset":
            self.world.reset()
            return as_json({"reset": True})
        if scope["method"] == "POST" and name == "faults":
            return self._set_faults(body)
        return as_json({"error": f"no such control: GET {', '.join(self._gets)}; POST reset, faults"}, 404)

    def _state(self) -> dict[str, Any]:
        counts, settings = self.world.counts, self.world.settings
        return {
            "profile": settings.name,
            "requests": counts.requests,
            "refused": counts.refused,
            "in_flight": counts.in_flight,
            "peak_in_flight": counts.peak_in_flight,
            "by_route": dict(counts.by_route),
            "by_status": {str(status): count for status, count in counts.by_status.items()},
            "user_agents": dict(counts.user_agents),
            "levels": self.world.throttle.levels(asyncio.get_running_loop().time()),
            "bucket": asdict(settings.bucket),
        }

    def _set_faults(self, body: bytes) -> Reply:
        try:
            tables = orjson.loads(body or b"[]")
            tables = tables if isinstance(tables, list) else [tables]
            self.world.faults.replace([fault_of(table, f"fault {place}") for place, table in enumerate(tables, 1)])
        except orjson.JSONDecodeError:
            return as_json({"error": "the body is not JSON"}, 400)
        except ConfigError as error:
            return as_json({"error": str(error)}, 400)
        return as_json({"active": len(tables)})


def _loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address in ("localhost", "testclient")
