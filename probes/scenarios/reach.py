"""Whether it answers, whether the token is good, who that is, which kind of instance, which revision, how long its certificate lasts."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from probes.config import Instance, guessed_kind
from probes.observation import Observation, Outcome
from probes.scenarios.asking import complaint, get, record_of, scalar
from probes.scenarios.base import Options, Scenario
from probes.transport import tls

if TYPE_CHECKING:
    from probes.client import Answer, Client

HANDSHAKE_TIMEOUT_S = 5.0
ANSWER_S = 20.0
"""Whoever has not answered the cheapest question in so long does not answer."""
LATER_S = 3600.0
"""When the certificate is looked at again: a handshake for it alone costs more than the request, and certificates last for weeks."""
SOON_S = 300.0
"""The same where it could not be seen: a silent server takes HANDSHAKE_TIMEOUT_S."""
_ENDS: WeakKeyDictionary[Client, tuple[float, float | None]] = WeakKeyDictionary()
"""For each client when to look at its instance's certificate again, and when that ends; both in seconds after 1970."""


async def observe(client: Client, options: Options) -> AsyncIterator[Observation]:
    """The public health page (no token is sent), then the cheapest read with the token; what they tell stands in `facts`.

    In brief the read comes first, and the health page only where the read failed: then it tells a dead instance from a bad token.
    """
    if options.brief:
        me = await _read(client, await _days(client))
        yield me
        if client.dialect.health_path is not None and not (me.ok or me.outcome is Outcome.THROTTLED):
            yield await _page(client, client.dialect.health_path)
        return
    health = None
    if client.dialect.health_path is not None:
        health = await _page(client, client.dialect.health_path)
        yield health
    yield await _read(client, await _days(client) if health is None or health.tls_s else None)


async def _page(client: Client, path: str) -> Observation:
    wait_s = min(ANSWER_S, client.instance.timeout_s)
    return await client.send(get(path), scenario="reach", authorized=False, timeout_s=wait_s, note=_health)


async def _read(client: Client, days: float | None) -> Observation:
    wait_s = min(ANSWER_S, client.instance.timeout_s)
    call = get(client.dialect.self_path)
    return await client.send(call, scenario="reach", timeout_s=wait_s, note=lambda answer: _me(answer, client.instance, days))


def _health(answer: Answer) -> dict[str, Any]:
    body = record_of(answer.json())
    facts = {
        "public": True,
        "health": scalar(body.get("status")),
        "revision": scalar(body.get("revision")),
        "installation": scalar(body.get("installation_uuid")),
    }
    return {key: value for key, value in facts.items() if value is not None}


def _me(answer: Answer, instance: Instance, days: float | None) -> dict[str, Any]:
    body = record_of(answer.json()) if answer.observation.ok else {}
    facts: dict[str, Any] = {
        "user_id": scalar(body.get("id", body.get("Identifier"))),
        "user_name": scalar(body.get("name", body.get("login", body.get("UniqueName")))),
        "json": answer.json() is not None,
        "said": complaint(answer) or None,
        "challenge": scalar(answer.headers.get("www-authenticate")),
        "certificate_days": days,
        "kind": instance.kind.value,
        "kind_by_host": guessed_kind(instance.url).value,
    }
    return {key: value for key, value in facts.items() if value is not None}


async def _days(client: Client) -> float | None:
    """Days until the certificate ends, which is looked at now and then; None without TLS and where it could not be seen."""
    if not client.instance.url.startswith("https:"):
        return None
    now_s = time.time()
    again_s, end_s = _ENDS.get(client, (now_s, None))
    if now_s >= again_s:
        days = await certificate_days(client.instance)
        end_s = None if days is None else now_s + 86400.0 * days
        _ENDS[client] = now_s + (SOON_S if end_s is None else LATER_S), end_s
    return None if end_s is None else round((end_s - now_s) / 86400.0, 2)


async def certificate_days(instance: Instance) -> float | None:
    """Days until the certificate of `instance` ends, by one handshake of our own without a request; None when it cannot be seen."""
    parts = urlsplit(instance.url)
    with contextlib.suppress(OSError, ssl.SSLError, ValueError, TimeoutError):
        async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port or 443, ssl=tls())
        certificate = writer.get_extra_info("peercert") or {}
        writer.close()
        with contextlib.suppress(OSError, ssl.SSLError):
            await writer.wait_closed()
        if "notAfter" in certificate:
            return round((ssl.cert_time_to_seconds(certificate["notAfter"]) - time.time()) / 86400.0, 2)
    return None


SCENARIO = Scenario(
    name="reach",
    asks="Does it answer, is the token good, who am I, what kind of instance is it and which revision does it run?",
    budget=lambda _: 2,
    observe=observe,
)
