"""Whether it answers, whether the token is good, who that is, which kind of instance, which revision, how long its certificate lasts."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from probes.config import Instance, guessed_kind
from probes.observation import Observation
from probes.scenarios.asking import get, record_of, scalar
from probes.scenarios.base import Options, Scenario

if TYPE_CHECKING:
    from probes.client import Answer, Client

HANDSHAKE_TIMEOUT_S = 5.0
ANSWER_S = 20.0
"""Whoever has not answered the cheapest question in so long does not answer."""


async def observe(client: Client, _: Options) -> AsyncIterator[Observation]:
    """The public health page (no token is sent), then the cheapest read with the token; what they tell stands in `facts`."""
    health: Observation | None = None
    wait_s = min(ANSWER_S, client.instance.timeout_s)
    if client.dialect.health_path is not None:
        answer = await client.ask(get(client.dialect.health_path), scenario="reach", authorized=False, timeout_s=wait_s, note=_health)
        health = answer.observation
        yield health
    days = await certificate_days(client.instance) if _tls_works(client.instance, health) else None
    me = await client.ask(
        get(client.dialect.self_path), scenario="reach", timeout_s=wait_s, note=lambda answer: _me(answer, client.instance, days)
    )
    yield me.observation


def _health(answer: Answer) -> dict[str, Any]:
    body = record_of(answer.json())
    facts = {
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
        "challenge": scalar(answer.headers.get("www-authenticate")),
        "certificate_days": days,
        "kind": instance.kind.value,
        "kind_by_host": guessed_kind(instance.url).value,
    }
    return {key: value for key, value in facts.items() if value is not None}


def _tls_works(instance: Instance, health: Observation | None) -> bool:
    return instance.url.startswith("https:") and (health is None or bool(health.tls_s))


async def certificate_days(instance: Instance) -> float | None:
    """Days until the certificate of `instance` ends, by one handshake of our own without a request; None when it cannot be seen."""
    parts = urlsplit(instance.url)
    with contextlib.suppress(OSError, ssl.SSLError, ValueError, TimeoutError):
        async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port or 443, ssl=ssl.create_default_context())
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
