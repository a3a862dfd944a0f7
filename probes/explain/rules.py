"""What can be wrong with a request to Canvas: one small function a mistake, each says what happens, what to do, and mends the request.

A rule takes the request apart and yields remarks; mending is done in place, so that after all rules the request is the right one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from probes.calls import ENROLLMENT_TASKS
from probes.config import LOOPBACK
from probes.explain.lists import DEFAULT_PER_PAGE, SIZE_NAMES, is_list, list_facts
from probes.explain.request import VARIABLE, Request


class Weight(StrEnum):
    """How much a remark weighs; a closed list. `WRONG`: the request does not do what it says."""

    WRONG = "wrong"
    RISKY = "risky"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing about a request."""

    kind: str
    weight: Weight
    says: str
    advice: str = ""

    def document(self) -> dict[str, Any]:
        """As JSON carries it."""
        return {"kind": self.kind, "weight": self.weight.value, "says": self.says, "advice": self.advice}


Rule = Callable[[Request], Iterator[Remark]]


def html_ampersands(request: Request) -> Iterator[Remark]:
    """`&amp;` copied from a web page."""
    if any(key.startswith("amp;") for key, _ in request.pairs):
        request.pairs = [(key.removeprefix("amp;"), value) for key, value in request.pairs]
        yield Remark(
            "html_ampersand", Weight.WRONG, "The URL holds &amp;, as web pages write &: the parameters after it are not seen.", "Write &."
        )


def query_mark(request: Request) -> Iterator[Remark]:
    """A query that begins with & or has a second ?."""
    if "&" in request.path:
        request.path, _, rest = request.path.partition("&")
        request.pairs[:0] = [_pair(part) for part in rest.split("&")]
        yield Remark(
            "query_mark", Weight.WRONG, "The query begins with & instead of ?: Canvas takes it for part of the path.", "Write ? before it."
        )
    for index, (key, value) in enumerate(request.pairs):
        if "?" in value and "=" in value.partition("?")[2]:
            first, _, rest = value.partition("?")
            request.pairs[index : index + 1] = [(key, first), _pair(rest)]
            says = f"There is a second ? in the URL: all that stands behind it belongs to the value of {key}."
            yield Remark("query_mark", Weight.WRONG, says, "Join parameters with &.")


def by_post(request: Request) -> Iterator[Remark]:
    """GET of what answers POST alone: the token of OAuth, whose secrets then stand in the URL, and GraphQL."""
    if request.method != "GET" or request.path.rstrip("/") not in _BY_POST:
        return
    says, advice = _BY_POST[request.path.rstrip("/")]
    request.method = "POST"
    request.data += [f"{key}={value}" for key, value in request.pairs]
    request.pairs = []
    yield Remark("post_alone", Weight.WRONG, says, advice)


_BY_POST = {
    "/login/oauth2/token": (
        "Tokens are given for POST alone, and a client_secret in a URL ends up in logs and histories.",
        "Send POST with client_id, client_secret and code in the body: curl -X POST -d grant_type=authorization_code -d ...",
    ),
    "/api/graphql": (
        "GraphQL is answered for POST alone; GET finds nothing there.",
        "Send POST with the query in the body: curl -X POST -H 'Authorization: Bearer TOKEN' -d 'query={ course(id: 1) { name } }'.",
    ),
}


def plain_http(request: Request) -> Iterator[Remark]:
    """http:// where a token would travel in the clear."""
    host = re.sub(r"^https?://|:\d+$", "", request.origin)
    if request.origin.startswith("http://") and not LOOPBACK.match(host.strip("[]")):
        request.origin = "https://" + request.origin.removeprefix("http://")
        yield Remark(
            "plain_http",
            Weight.WRONG,
            "http:// sends the token unencrypted, and the redirect to https:// drops it in many clients.",
            "Use https://.",
        )


def user_agent(request: Request) -> Iterator[Remark]:
    """A User-Agent taken away."""
    if request.headers.get("user-agent", "something") == "":
        yield Remark(
            "no_user_agent",
            Weight.WRONG,
            "Without a User-Agent hosted Canvas answers 403 (beta since October 2025, production since January 2026).",
            "Name your program: -A 'my-school-sync/1.0 (me@school.example)'.",
        )


def insecure(request: Request) -> Iterator[Remark]:
    """Verification switched off."""
    if request.insecure:
        yield Remark(
            "insecure", Weight.RISKY, "-k switches the check of the certificate off: whoever sits between gets the token.", "Leave -k out."
        )


def size_name(request: Request) -> Iterator[Remark]:
    """per_page under another API's name."""
    for index, (key, value) in enumerate(request.pairs):
        if key.lower() in SIZE_NAMES and request.reads and is_list(request.segments):
            request.pairs[index] = ("per_page", value)
            yield Remark("size_name", Weight.WRONG, f"{key} is not known here and is ignored without an error.", f"Write per_page={value}.")


def page_size(request: Request) -> Iterator[Remark]:
    """per_page beyond the cap, or no number; or none at all on a list."""
    if not (request.reads and is_list(request.segments)):
        return
    facts = list_facts(request.segments)
    given = request.values("per_page")
    if not given:
        request.pairs.append(("per_page", str(facts.greatest)))
        yield Remark(
            "no_page_size",
            Weight.WRONG if facts.default == DEFAULT_PER_PAGE else Weight.INFO,
            f"This list comes in pages, and without per_page a page has {facts.default} items: the rest is on further pages.",
            f'Ask for per_page={facts.greatest} and follow rel="next" of the Link header until there is none.',
        )
        return
    if VARIABLE.match(given[-1]):
        return
    effective = effective_per_page(given[-1], facts.greatest)
    if str(effective) != given[-1].strip():
        request.pairs = [(key, str(facts.greatest) if key == "per_page" else value) for key, value in request.pairs]
        yield Remark(
            "page_size",
            Weight.WRONG,
            f"per_page={given[-1]} becomes {effective} without an error: Canvas reads the number and holds it to 1..{facts.greatest} "
            "(..50 on old installations).",
            f'Ask for per_page={facts.greatest} and follow rel="next".',
        )
    elif effective < facts.greatest:
        says = f"per_page={effective} gives {effective} items and no more: where the list is longer, the rest is on further pages."
        yield Remark(
            "small_page", Weight.INFO, says, f'Follow rel="next" until there is none; per_page={facts.greatest} needs fewer calls.'
        )


def effective_per_page(text: str, greatest: int = 100) -> int:
    """What Canvas makes of per_page (`per_page_for`): Ruby's to_i, then held to 1..greatest."""
    match = re.match(r"\s*([+-]?\d+)", text)
    return min(max(int(match[1][:19]) if match else 0, 1), greatest)


def page_number(request: Request) -> Iterator[Remark]:
    """Page numbers: refused by bookmark lists, 404 for 0 and words, and a habit that ends badly anywhere."""
    for value in request.values("page") if request.reads else ():
        if value.startswith(("bookmark:", "first")):
            continue
        request.pairs = [(key, text) for key, text in request.pairs if key != "page"]
        number = int(value) if re.fullmatch(r"[+-]?\d{1,18}", value.strip()) else None
        counted = VARIABLE.match(value) is not None
        if not counted and (number is None or number < 1):
            yield Remark(
                "page_number", Weight.WRONG, f"page={value} is answered with 404.", 'Leave page out for the first, then follow rel="next".'
            )
        elif (counted or number != 1) and list_facts(request.segments).bookmarks:
            yield Remark(
                "page_number",
                Weight.WRONG,
                f"This list pages by bookmarks: page={value} is answered with 404.",
                'Follow rel="next" from the first page.',
            )
        elif counted or number != 1:
            yield Remark(
                "page_number",
                Weight.RISKY,
                f"page={value} works on some lists, moves when items are added, and beyond the end gives [] without an error.",
                'Follow rel="next" from the first page.',
            )


def task(request: Request) -> Iterator[Remark]:
    """DELETE enrolment without a task, or with one that Canvas does not know: what it shall do is for its author to say."""
    if "enrollments" not in request.segments[-2:-1]:
        return
    given = request.said("task")
    if given and request.method in ("PUT", "POST", "PATCH"):
        says = f"{request.method} of an enrolment takes no task: Canvas has no such route and answers 404."
        request.method = "DELETE"
        yield Remark("task_by_delete", Weight.WRONG, says, "Send DELETE: it takes task.")
    if request.method != "DELETE":
        return
    unknown = [word for word in given if word not in ENROLLMENT_TASKS]
    if unknown or not given:
        request.first = "chosen what it shall do"
    choose = f"Choose task={', task='.join(sorted(ENROLLMENT_TASKS))}."
    if unknown:
        says = f"task={unknown[0]} is unknown to Canvas, which then concludes the enrolment without an error."
        yield Remark("unknown_task", Weight.WRONG, says, choose)
    elif not given:
        yield Remark("no_task", Weight.RISKY, "Without task this concludes the enrolment; it does not delete it.", choose)


def writes(request: Request) -> Iterator[Remark]:
    """A request that changes something."""
    if not request.reads and request.method != "OPTIONS":
        yield Remark("writes", Weight.INFO, f"{request.method} changes something: it is explained here, never sent.")


def _pair(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    return key, value
