"""The exporter's pages: an ASGI application."""

from __future__ import annotations

import asyncio
import gzip
import html
import math
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from probes import __version__
from probes.errors import UsageError
from probes.exporter.probing import Probes
from probes.exporter.rounds import Ended
from probes.exporter.text import formatted
from probes.runs import described
from probes.scenarios import names, scenario
from probes.tokens import redact

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from probes.config import Instance
    from probes.exporter.exporter import Exporter
    from probes.scenarios import Scenario

TIMEOUT_HEADER = "x-prometheus-scrape-timeout-seconds"
SPARE_S = 0.5
"""What is left of a scrape's time for the answer's way back."""
LEAST_S = 0.05
LARGE = 8192
"""Bytes from which metrics are compressed for a scrape that takes it."""
Answering = Callable[[Request], Awaitable[Response]]
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>canvas-probes exporter</title>
<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<style>body{{font-family:system-ui,sans-serif;max-width:50em;margin:2em auto;padding:0 1em}}
td,th{{text-align:left;padding:.2em 1em .2em 0}}</style>
</head><body><h1>canvas-probes exporter</h1><p>Version {version}.</p>
<ul><li><a href="/metrics">Metrics</a></li><li><a href="/-/healthy">Healthy</a></li></ul>
<table><tr><th>Instance</th><th>Kind</th><th>Probe now</th></tr>{rows}</table>
<p>Every {schedule}. POST /-/reload reads the configuration again.</p></body></html>
"""


def application(exporter: Exporter) -> ASGIApp:
    """The pages of `exporter` behind its door, where it has one."""
    pages = create_app(exporter)
    if exporter.door is None:
        return pages
    from probes.exporter.door import Guarded

    return Guarded(pages, exporter.door)


def create_app(exporter: Exporter) -> ASGIApp:
    """The pages of `exporter`; starting and ending it is its server's."""
    probe = _probe_of(exporter)
    pages = _pages(exporter, probe)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        """The way to /probe is short: it is asked for each target, and Starlette's layers cost a tenth of what it does."""
        if scope["type"] != "http" or scope["path"] != "/probe" or scope["method"] != "GET":
            await pages(scope, receive, send)
            return
        try:
            response = await probe(Request(scope, receive))
        except HTTPException as error:
            response = PlainTextResponse(error.detail, error.status_code)
        await response(scope, receive, send)

    return app


def _probe_of(exporter: Exporter) -> Answering:
    probes = Probes()

    async def probe(request: Request) -> Response:
        instance, asked = _target(exporter, request), _module(request)
        ended = await exporter.rounds.probe(instance.name, asked, _timeout_s(request, instance))
        probed = probes.of(instance, asked)
        if request.query_params.get("debug") == "true":
            return PlainTextResponse(_debug(instance, asked, ended, probed.told(ended, openmetrics=False)))
        content_type, openmetrics = formatted(request.headers.get("accept", ""))
        return Response(probed.told(ended, openmetrics=openmetrics), headers={"content-type": content_type})

    return probe


def _pages(exporter: Exporter, probe: Answering) -> Starlette:

    async def metrics(request: Request) -> Response:
        # in a thread: with many instances it takes a while, and rounds go on
        text, headers = await asyncio.to_thread(_exposed, exporter, request.headers)
        return Response(text, headers=headers)

    async def healthy(_: Request) -> Response:
        return PlainTextResponse("Healthy\n")

    async def reload(_: Request) -> Response:
        wrong = await exporter.reload()
        return PlainTextResponse(f"{wrong}\n" if wrong else "Reloaded\n", status_code=500 if wrong else 200)

    async def landing(_: Request) -> Response:
        return HTMLResponse(_page(exporter))

    return Starlette(
        routes=[
            Route("/", landing),
            Route("/metrics", metrics),
            Route("/probe", probe),
            Route("/-/healthy", healthy),
            Route("/-/reload", reload, methods=["POST", "PUT"]),
        ]
    )


def _exposed(exporter: Exporter, asked: Mapping[str, str]) -> tuple[bytes, dict[str, str]]:
    """(the metrics, their headers), compressed where the scrape takes that and they are large: a small part of them is left."""
    text, content_type = exporter.exposed(asked.get("accept", ""))
    headers = {"content-type": content_type, "vary": "Accept-Encoding"}
    if len(text) < LARGE or not takes_gzip(asked.get("accept-encoding", "")):
        return text, headers
    return gzip.compress(text, compresslevel=1, mtime=0), {**headers, "content-encoding": "gzip"}


def takes_gzip(accept: str) -> bool:
    """Whether a header Accept-Encoding names gzip, and not with the weight 0."""
    offers = [part.lower().replace(" ", "").partition(";") for part in accept.split(",")]
    return any(name == "gzip" and not re.fullmatch(r"q=0(\.0*)?", weight) for name, _, weight in offers)


def _target(exporter: Exporter, request: Request) -> Instance:
    """Configured names only: never a URL from outside."""
    name = request.query_params.get("target")
    if not name:
        raise HTTPException(400, "Name an instance: /probe?target=NAME&module=SCENARIO.\n")
    if name not in exporter.rounds.places:
        raise HTTPException(404, "There is no instance of that name in the configuration.\n")
    return exporter.rounds.places[name].instance


def _module(request: Request) -> Scenario:
    name = request.query_params.get("module", "reach")
    try:
        asked = scenario(name)
    except UsageError:
        raise HTTPException(404, f"There is no scenario of that name: known are {', '.join(names())}.\n") from None
    if asked.writes:
        raise HTTPException(400, f"Scenario {asked.name} writes: it is not for scrapes.\n")
    return asked


def _timeout_s(request: Request, instance: Instance) -> float:
    """The scrape's timeout less SPARE_S, capped by the instance's own."""
    text = request.headers.get(TIMEOUT_HEADER)
    if text is None:
        return instance.timeout_s
    try:
        told_s = float(text)
    except ValueError:
        told_s = math.nan
    if not 0.0 < told_s < math.inf:
        raise HTTPException(400, f"{TIMEOUT_HEADER} must be a number of seconds.\n")
    return min(instance.timeout_s, max(LEAST_S, told_s - SPARE_S))


def _debug(instance: Instance, asked: Scenario, ended: Ended, metrics: bytes) -> str:
    """Log, metrics and configuration; no token is in any of them."""
    log = [
        f"{o.due_s:.3f} s  {o.method} {o.path}  {o.status or '-'} {o.outcome.value}  {o.error or ''}".rstrip() for o in ended.observations
    ]
    where = "environment" if instance.token_env else "file" if instance.token_file else "none"
    told = [f"{key} = {value}" for key, value in described(instance).items() if value is not None]
    parts = {
        f"Log of {asked.name} at {instance.name}": [*log, f"Cut short: {ended.cut}" if ended.cut else f"Done in {ended.took_s:.3f} s"],
        "Metrics": metrics.decode().splitlines(),
        "Configuration": [*told, f"token = <secret> (from: {where})"],
    }
    return redact("\n\n".join("\n".join([f"{title}:", *lines]) for title, lines in parts.items()) + "\n")


def _page(exporter: Exporter) -> str:
    from urllib.parse import quote

    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{place.instance.kind.value}</td>"
        f'<td><a href="/probe?target={quote(name, safe="")}&amp;module=reach">reach</a> '
        f'<a href="/probe?target={quote(name, safe="")}&amp;module=reach&amp;debug=true">debug</a></td></tr>'
        for name, place in exporter.rounds.places.items()
    )
    schedule = ", ".join(f"{timed.every_s:g} s: {html.escape(timed.scenario.name)}" for timed in exporter.timed)
    return PAGE.format(version=__version__, rows=rows, schedule=schedule)
