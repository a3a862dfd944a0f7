"""What the header fields of an answer mean, line by line; and what its status means."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from probes.addresses import without_secrets
from probes.bucket import CANVAS
from probes.dialects.canvas import meta_fields
from probes.dialects.fields import plain_number
from probes.dialects.links import links
from probes.observation import Outcome


@dataclass(frozen=True, slots=True)
class HeaderLine:
    """One field, or one relation of Link, and what it means."""

    name: str
    value: str
    means: str

    def document(self) -> dict[str, Any]:
        """As JSON carries it."""
        return {"name": self.name, "value": self.value, "means": self.means}


STATUS: dict[Outcome, str] = {
    Outcome.OK: "answered as asked",
    Outcome.THROTTLED: "refused by the throttle: too much of the budget was reserved or spent at that moment; wait and ask again",
    Outcome.UNAUTHORIZED: "the token is missing, wrong, expired or revoked",
    Outcome.FORBIDDEN: "the token is good, but this user or its scopes may not do this",
    Outcome.NO_USER_AGENT: "refused at the edge: a User-Agent is missing",
    Outcome.REDIRECTED: "it points elsewhere; the API itself does not redirect, so the address is wrong or something sits in between",
    Outcome.MAINTENANCE: "maintenance or an overloaded front: this never reached Canvas",
    Outcome.NOT_FOUND: "there is no such thing, or no such path",
    Outcome.CLIENT_ERROR: "Canvas did not understand the request",
    Outcome.SERVER_ERROR: "Canvas failed while answering",
    Outcome.GATEWAY_ERROR: "the front gave up waiting for Canvas",
    Outcome.PROTOCOL_ERROR: "what came is no answer of the API",
}


def status_means(status: int | None, outcome: Outcome, *, page: bool) -> str:
    """One sentence on how the request ended; `page` is whether a web page (HTML) came."""
    if outcome is Outcome.NOT_FOUND and page:
        return "404 with a web page: there is no such path in this API (a wrong version, a wrong word); a missing record is 404 with JSON."
    meaning = STATUS.get(outcome, f"no answer: {outcome.value.replace('_', ' ')}")
    return f"{meaning[0].upper()}{meaning[1:]}." if status is None else f"{status}: {meaning}."


def header_lines(headers: Mapping[str, str], url: str = "") -> list[HeaderLine]:
    """The fields that say something, in the order of `FIELDS`; Link gives one line a relation, and one on what is missing."""
    lines: list[HeaderLine] = []
    for name, means in FIELDS.items():
        if name in headers:
            lines.append(HeaderLine(name, _shown(name, headers[name]), means(headers[name], headers)))
    return link_lines(headers, url) + lines


def _shown(name: str, text: str) -> str:
    """A field's text without secrets: of a cookie the name only."""
    return f"{text.partition('=')[0]}=[redacted]" if name == "set-cookie" else without_secrets(text)[:500]


def link_lines(headers: Mapping[str, str], url: str = "") -> list[HeaderLine]:
    """Link, relation by relation."""
    found = links(headers, url)
    lines = [
        HeaderLine(f'link rel="{rel}"', without_secrets(target), LINK_RELS.get(rel, "another relation")) for rel, target in found.items()
    ]
    if found and "next" not in found:
        lines.append(HeaderLine('link rel="next"', "(missing)", "This was the last page: you have everything."))
    if found and "last" not in found:
        lines.append(HeaderLine('link rel="last"', "(missing)", "The total is not known: go on until there is no next."))
    size = _effective_size(found)
    if size is not None:
        lines.append(HeaderLine("per_page in link", size, "The page size that was really used, whatever was asked for."))
    return lines


LINK_RELS = {
    "next": "The next page. Ask for exactly this URL, with your Authorization header; do not build page numbers yourself.",
    "current": "This page.",
    "prev": "The page before.",
    "first": "The first page.",
    "last": "The last page; not every list has it.",
}


def _effective_size(found: Mapping[str, str]) -> str | None:
    for rel in ("current", "next", "first"):
        values = parse_qs(urlsplit(found.get(rel, "")).query).get("per_page")
        if values:
            return values[0]
    return None


def _remaining(text: str, headers: Mapping[str, str]) -> str:
    value = plain_number(text)
    if value is None:
        return "Not a number: it was not used."
    if "x-rate-limit-limit" in headers:
        return "Calls left of Limit until Reset."
    if "x-rate-limit-reset" in headers:
        return "Brightspace's credits left until Reset."
    more = max(0, math.ceil(value / CANVAS.up_front_cost) - 1)
    enough = f"about {more} more requests may start now" if more else "a request that starts now is refused"
    return (
        f"Budget left in this token's bucket after this answer, your other requests in flight counted ({CANVAS.up_front_cost:g} each): "
        f"{enough}. It refills by itself, 10 a second by default."
    )


def _cost(text: str, _headers: Mapping[str, str]) -> str:
    if plain_number(text, least=0.0) is None:
        return "Not a number: it was not used."
    return "What this request cost: CPU, database and outgoing HTTP seconds; waiting is free."


def _meta(text: str, _headers: Mapping[str, str]) -> str:
    meta = meta_fields(text)
    words = {
        "q": "waited {} us for a server",
        "u": "CPU {} s",
        "y": "system CPU {} s",
        "d": "database {} s",
        "o": "controller {}",
        "n": "action {}",
    }
    told = [phrase.format(meta[key]) for key, phrase in words.items() if key in meta]
    return "The server's own account: " + (", ".join(told) if told else "nothing known in it") + "."


FIELDS: dict[str, Callable[[str, Mapping[str, str]], str]] = {
    "x-rate-limit-remaining": _remaining,
    "x-request-cost": _cost,
    "retry-after": lambda _text, _headers: "Wait so long (seconds, or until that date) before asking again.",
    "x-rate-limit-limit": lambda _text, _headers: "The whole budget.",
    "x-rate-limit-reset": lambda _text, _headers: "When the budget is renewed.",
    "ratelimit": lambda _text, _headers: "r: left of the budget, t: seconds until it is renewed.",
    "ratelimit-policy": lambda _text, _headers: "q: the budget, w: its window in seconds.",
    "ratelimit-limit": lambda _text, _headers: "The whole budget.",
    "ratelimit-remaining": lambda _text, _headers: "Left of the budget.",
    "ratelimit-reset": lambda _text, _headers: "When the budget is renewed.",
    "x-ratelimit-limit": lambda _text, _headers: "The whole budget.",
    "x-ratelimit-remaining": lambda _text, _headers: "Left of the budget.",
    "x-ratelimit-reset": lambda _text, _headers: "When the budget is renewed.",
    "x-runtime": lambda _text, _headers: "Seconds inside the application; the rest of what you waited is network and queue.",
    "x-canvas-meta": _meta,
    "x-request-context-id": lambda _text, _headers: "This request's number at Canvas: quote it to support.",
    "x-canvas-user-id": lambda _text, _headers: "Who you are to Canvas (an id across shards).",
    "www-authenticate": lambda _text, _headers: "The token was not accepted.",
    "location": lambda _text, _headers: "Where it points; not followed, so that the token goes nowhere else.",
    "set-cookie": lambda _text, _headers: "A session cookie: discard it, it would change which budget you use.",
    "content-type": lambda text, _headers: "A web page, not data." if "html" in text else "The form of the body.",
}
"""Field -> what it means, given its text and all fields."""
