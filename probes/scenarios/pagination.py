"""How lists page: default and greatest size, clamping, links, `last`, total; and which page size is best."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from probes.addresses import origin, target
from probes.calls import Call
from probes.observation import Observation
from probes.scenarios.asking import Patience, calls_about, first_id, get, items_of, with_query
from probes.scenarios.base import Options, Scenario

if TYPE_CHECKING:
    from probes.client import Answer, Client

GREATEST = 100_000
"""Asked for once: Canvas clamps without an error and puts what it really gave into rel=current (`lib/api.rb`, `per_page_for`)."""
SIZES = (1, 10, 50, 100)
ROUNDS = 3
BEYOND = 99_999
ITSELF = "itself"
DEEP = 1 + 1 + 1 + 1 + ROUNDS * len(SIZES)
"""Requests for a list that is studied whole: default, greatest, zero, beyond the end, and each size a few times."""
SHALLOW = 2
"""Requests for a list of which only default and greatest size are asked."""
CANVAS_MORE = ("/api/v1/users/self/activity_stream", "/api/v1/courses/{course}/enrollments", "/api/v1/accounts/self/sis_imports")
"""Canvas lists known to page in other ways: another default, bookmarks, an envelope without `last`."""


async def observe(client: Client, options: Options) -> AsyncIterator[Observation]:
    """Studies the calls asked for, or the dialect's list whole and a few more lists in short."""
    course = options.course
    for call in _lists(client, options):
        async for observation, body in _deep(client, call):
            course = course or (first_id(body) if not options.calls else None)
            yield observation
    if options.calls or client.dialect.name != "canvas":
        return
    for call in calls_about(CANVAS_MORE, course):
        async for observation in _shallow(client, call):
            yield observation


def _lists(client: Client, options: Options) -> list[Call]:
    return list(options.calls) or [get(client.dialect.list_path)]


async def _deep(client: Client, call: Call) -> AsyncIterator[tuple[Observation, Any]]:
    patience = Patience(limit=1)
    for size, page in _questions(client.dialect.page_size):
        answer = await _page(client, call, size, page)
        yield answer.observation, answer.json()
        nothing = not answer.observation.ok or items_of(answer.json()) is None
        if patience.lost(answer.observation) or (size is None and nothing):
            return


async def _shallow(client: Client, call: Call) -> AsyncIterator[Observation]:
    for size in (None, GREATEST):
        answer = await _page(client, call, size, None)
        yield answer.observation
        if not answer.observation.ok:
            return


def _questions(page_size: str | None) -> list[tuple[int | None, int | None]]:
    """(page size, page) of each request, None where it is left to the server; the sizes interleaved."""
    if page_size is None:
        return [(None, None)]
    return [(None, None), (GREATEST, None), (0, None), *((size, None) for _ in range(ROUNDS) for size in SIZES), (None, BEYOND)]


async def _page(client: Client, call: Call, size: int | None, page: int | None) -> Answer:
    name = client.dialect.page_size
    changes: dict[str, object] = {} if name is None else {name: size}
    if page is not None:
        changes["page"] = page
    asked = Call(call.method, with_query(call.path, **changes))
    extra = {"list": call.path, **({} if page is None else {"page_asked": page})}
    return await client.ask(asked, scenario="pagination", note=lambda answer: {**page_facts(answer, size, name), **extra})


def page_facts(answer: Answer, asked: int | None, page_size: str | None) -> dict[str, Any]:
    """What one page tells: `items, per_page_asked, per_page, style, has_last, rels`, and `total` where it can be known.

    `next_at` where its next page is elsewhere: the origin, or `itself`.
    """
    items = items_of(answer.json())
    links = dict(answer.links)
    facts: dict[str, Any] = {
        "items": None if items is None else len(items),
        "per_page_asked": asked,
        "per_page": _given(links, asked, None if items is None else len(items), page_size),
        "style": _style(links),
        "has_last": "last" in links,
        "rels": ",".join(links),
    }
    if (elsewhere := _next_at(links.get("next"), answer.url)) is not None:
        facts["next_at"] = elsewhere
    total = _total(links, facts)
    return facts if total is None else {**facts, "total": total}


def _given(links: Mapping[str, str], asked: int | None, items: int | None, page_size: str | None) -> int | None:
    """The size really used: as the links say it, else the length of a page that has a next one."""
    said = next(
        (size for rel in ("current", "next", "first", "last") if (size := _number(links.get(rel), page_size or "per_page")) is not None),
        None,
    )
    full = items if "next" in links else None
    if said is not None and (asked is None or said != asked):
        return said
    if full is not None and (said is None or full < said):
        return full
    return None if said == GREATEST else said


def _next_at(following: str | None, asked: str) -> str | None:
    """Where a next page is that cannot be walked to: at another origin, or the page `itself`; None of one that can."""
    if following is None or not asked:
        return None
    there = origin(following)
    if there != origin(asked):
        return there or "no URL"
    return ITSELF if target(following) == target(asked) else None


def _style(links: Mapping[str, str]) -> str:
    """`bookmark`, `link` (numbered pages), or `none` when no link was given."""
    if not links:
        return "none"
    pages = [value for url in links.values() for value in parse_qs(urlsplit(url).query).get("page", [])]
    return "link" if not pages or all(page.lstrip("-").isdigit() for page in pages) else "bookmark"


def _total(links: Mapping[str, str], facts: Mapping[str, Any]) -> int | None:
    """The number of items when one page shows it: its own length on the only page, or the last page's number at size 1."""
    if facts["items"] is not None and links and "next" not in links and "prev" not in links:
        return int(facts["items"])
    return _number(links.get("last"), "page") if facts["per_page"] == 1 else None


def _number(url: str | None, name: str) -> int | None:
    values = parse_qs(urlsplit(url or "").query).get(name, [])
    return int(values[0]) if values and values[0].isascii() and values[0].isdigit() else None


SCENARIO = Scenario(
    name="pagination",
    asks="How do lists page, what are their default and greatest page sizes, and which size is best?",
    budget=lambda options: len(options.calls) * DEEP if options.calls else DEEP + SHALLOW * len(CANVAS_MORE),
    observe=observe,
)
