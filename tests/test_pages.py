"""Walking lists in virtual time: every item once, and every way in which a list can mislead."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.client import Client
from probes.clock import run_virtually
from probes.config import Instance
from probes.observation import Observation, Outcome
from probes.pages import Ended, Page, walk

BASE = "http://127.0.0.1:8000"
PAGE_IN_PLACE = "a web page (HTML) came in place of JSON: a login page, or something between here and the server answered"
Reply = tuple[int, dict[str, str], Any]
Respond = Callable[[str, dict[str, list[str]]], Reply]


def walked(
    respond: Respond, path: str = "/api/v1/things?per_page=10", dialect: str = "canvas", **options: Any
) -> tuple[list[Page], list[Observation], list[str]]:
    """The pages of a walk, what was recorded, the targets that were asked."""
    asked: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.raw_path.decode())
        status, headers, body = respond(request.url.path, parse_qs(urlsplit(str(request.url)).query))
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return httpx.Response(status, headers={"content-type": "application/json", **headers}, content=content)

    async def main() -> tuple[list[Page], list[Observation]]:
        recorded: list[Observation] = []
        here = Instance("here", BASE, dialect=dialect, secret="the-token")
        async with Client(here, record=recorded.append, transport=httpx.MockTransport(handle)) as client:
            return [page async for page in walk(client, path, scenario="test", **options)], recorded

    pages, recorded = run_virtually(main())
    return pages, recorded, asked


def ids(pages: list[Page]) -> list[int]:
    return [item["id"] for page in pages for item in page.items]


def things(*numbers: int) -> list[dict[str, int]]:
    return [{"id": number} for number in numbers]


def link(rel: str, target: str) -> dict[str, str]:
    return {"link": f'<{target}>; rel="{rel}"'}


def ordinal(everything: list[Any], size: int = 10) -> Respond:
    """A list that pages by number."""

    def respond(path: str, query: dict[str, list[str]]) -> Reply:
        page = int(query.get("page", ["1"])[0])
        more = page * size < len(everything)
        headers = link("next", f"{BASE}{path}?page={page + 1}&per_page={size}") if more else link("current", f"{BASE}{path}?page={page}")
        return 200, headers, everything[(page - 1) * size : page * size]

    return respond


def test_every_page_of_a_list() -> None:
    """26 items of 10 a page come in 3 pages, each once, named after the list whatever the page, and only the last page ends."""
    pages, recorded, asked = walked(ordinal(things(*range(26))))
    assert ids(pages) == list(range(26))
    assert [(page.number, page.ended, page.note) for page in pages] == [(1, None, None), (2, None, None), (3, Ended.COMPLETE, None)]
    assert asked == ["/api/v1/things?per_page=10", "/api/v1/things?page=2&per_page=10", "/api/v1/things?page=3&per_page=10"]
    assert {one.call for one in recorded} == {"GET /api/v1/things?per_page=10"}
    assert [one.facts for one in recorded] == [
        {"page": 1, "rels": "next", "items": 10},
        {"page": 2, "rels": "next", "items": 10},
        {"page": 3, "rels": "current", "items": 6},
    ]


@pytest.mark.untraced
@given(st.integers(0, 60), st.integers(1, 15))
def test_any_length_and_page_size(count: int, size: int) -> None:
    """Every item exactly once, whatever the length and the page size."""
    pages, _, _ = walked(ordinal(things(*range(count)), size))
    assert ids(pages) == list(range(count))
    assert [page.ended for page in pages][-1] is Ended.COMPLETE


@pytest.mark.untraced
@given(st.lists(st.integers(0, 9), min_size=1, max_size=6))
def test_items_added_between_pages(added: list[int]) -> None:
    """New items at the front push old ones onto the next page: each is still seen exactly once."""
    everything = things(*range(100, 135))
    plan = iter(added)

    def respond(path: str, query: dict[str, list[str]]) -> Reply:
        reply = ordinal(list(everything))(path, query)
        for _ in range(next(plan, 0)):
            everything.insert(0, {"id": -len(everything)})
        return reply

    pages, _, _ = walked(respond)
    found = ids(pages)
    assert len(found) == len(set(found))
    assert set(range(100, 135)) <= set(found)
    assert pages[-1].ended is Ended.COMPLETE


def test_a_shrunken_page_is_not_the_end() -> None:
    """A page with fewer items than asked for, even none, is not the end while there is a next."""
    replies = iter([(things(1, 2), 2), ([], 3), (things(3), None)])

    def respond(path: str, _query: dict[str, list[str]]) -> Reply:
        found, more = next(replies)
        return 200, link("next", f"{BASE}{path}?page={more}") if more else {}, found

    pages, _, _ = walked(respond)
    assert (ids(pages), pages[-1].ended) == ([1, 2, 3], Ended.COMPLETE)


def test_one_page_without_link() -> None:
    """A list without a Link header is one page."""
    pages, _, _ = walked(lambda _path, _query: (200, {}, things(1)))
    assert [(page.ended, page.items) for page in pages] == [(Ended.COMPLETE, things(1))]


@pytest.mark.parametrize(
    ("headers", "count", "doubted"),
    [
        ({}, 10, True),
        (link("current", f"{BASE}/api/v1/things?page=1&per_page=10"), 10, True),
        (link("current", f"{BASE}/api/v1/things?page=1&per_page=5"), 5, True),
        ({}, 9, False),
        (link("first", f"{BASE}/api/v1/things?page=1&per_page=10"), 10, False),
    ],
)
def test_a_full_page_that_names_no_other(headers: dict[str, str], count: int, doubted: bool) -> None:
    """An only page as long as pages are, whose links are missing, is whole for all that is told, with a word that it may not be."""
    pages, _, _ = walked(lambda _path, _query: (200, headers, things(*range(count))))
    assert (pages[-1].ended, pages[-1].note is not None) == (Ended.COMPLETE, doubted)
    github, _, _ = walked(lambda _path, _query: (200, headers, things(*range(count))), dialect="github")
    assert github[-1].note is None, "GitHub names no page where there is one only"


def test_a_limit() -> None:
    """At most `limit` pages; the last says that there are more; a list that ends there is complete."""
    pages, _, asked = walked(ordinal(things(*range(26))), limit=2)
    assert (len(asked), pages[-1].ended, pages[-1].note) == (2, Ended.LIMIT, "Stopped after 2 pages as asked; there are more.")
    assert walked(ordinal(things(*range(20))), limit=2)[0][-1].ended is Ended.COMPLETE


# Circles


def test_a_link_to_itself() -> None:
    """A next page that is this page ends the walk without another request."""
    pages, _, asked = walked(lambda path, _query: (200, link("next", f"{BASE}{path}?per_page=10"), things(1, 2)))
    assert len(asked) == 1
    assert (pages[-1].ended, pages[-1].note) == (
        Ended.LOOP,
        "Page 1 names a page that was read before as its next: the list goes in a circle.",
    )


def test_a_corrupt_bookmark() -> None:
    """Canvas answers a broken bookmark with the first page again: noticed with the next page, each item given once."""

    def respond(path: str, query: dict[str, list[str]]) -> Reply:
        bookmark = query.get("page", ["first"])[0]
        start = 2 if bookmark == "bookmark:good" else 0
        following = "bookmark:broken" if start else "bookmark:good"
        return 200, link("next", f"{BASE}{path}?page={following}&per_page=2"), things(start, start + 1)

    pages, _, asked = walked(respond)
    assert (ids(pages), pages[-1].ended, len(asked)) == ([0, 1, 2, 3], Ended.LOOP, 3)


def test_ever_new_urls_for_the_same_items() -> None:
    """Pages that bring nothing new are a circle after two, though each has another URL."""

    def respond(path: str, query: dict[str, list[str]]) -> Reply:
        page = int(query.get("page", ["1"])[0])
        return 200, link("next", f"{BASE}{path}?page={page + 1}"), things(1, 2)

    pages, _, asked = walked(respond)
    assert (ids(pages), pages[-1].ended, len(asked)) == ([1, 2], Ended.LOOP, 3)
    assert pages[-1].note == "Page 3 brought nothing new, like the one before: the list goes in a circle."


def test_versions_of_one_id_are_all_kept() -> None:
    """Lists of versions, and of events with overrides, name an id again and again: only an item that is the same as a whole is left out."""

    def respond(path: str, query: dict[str, list[str]]) -> Reply:
        page = int(query.get("page", ["1"])[0])
        link_to = link("next", f"{BASE}{path}?page={page + 1}") if page < 3 else {}
        return 200, link_to, [{"id": 7, "attempt": page}, {"id": 7, "attempt": page + 1}]

    pages, _, _ = walked(respond)
    assert [item["attempt"] for page in pages for item in page.items] == [1, 2, 3, 4]
    assert ([page.repeated for page in pages], pages[-1].ended) == ([0, 1, 1], Ended.COMPLETE)


def test_a_circle_of_items_that_tick() -> None:
    """Ever new URLs, ever the same ids, a clock in each item: a circle after a hundred pages."""

    def respond(path: str, query: dict[str, list[str]]) -> Reply:
        page = int(query.get("page", ["1"])[0])
        return 200, link("next", f"{BASE}{path}?page={page + 1}"), [{"id": 1, "now": page}]

    pages, _, asked = walked(respond)
    assert (pages[-1].ended, len(asked)) == (Ended.LOOP, 101)


def test_a_circle_of_items_without_ids() -> None:
    """Without ids the whole page tells that it came before; equal items within pages are kept."""

    def respond(path: str, query: dict[str, list[str]]) -> Reply:
        page = int(query.get("page", ["1"])[0])
        return 200, link("next", f"{BASE}{path}?page={page + 1}"), [["a", "a"], ["b", "a"]][page % 2]

    pages, _, asked = walked(respond)
    assert [page.items for page in pages] == [["b", "a"], ["a", "a"], [], []]
    assert (pages[-1].ended, len(asked)) == (Ended.LOOP, 4)


def test_empty_pages_without_end() -> None:
    """Empty pages that go on and on are a circle after twenty."""

    def respond(path: str, query: dict[str, list[str]]) -> Reply:
        page = int(query.get("page", ["1"])[0])
        return 200, link("next", f"{BASE}{path}?page={page + 1}"), []

    pages, _, asked = walked(respond)
    assert (pages[-1].ended, len(asked)) == (Ended.LOOP, 20)


# Links elsewhere, broken links


@pytest.mark.parametrize(
    "target", ["https://evil.example/api/v1/things?page=2", "//evil.example/x", "https://127.0.0.1:8000/x", "http://127.0.0.1:8001/x"]
)
def test_a_link_to_another_host(target: str) -> None:
    """A next page on another origin (host, scheme or port) is not asked; the note names it and says why."""
    pages, _, asked = walked(lambda _path, _query: (200, link("next", target), things(1)))
    assert len(asked) == 1
    assert pages[-1].ended is Ended.FOREIGN_LINK
    assert pages[-1].items == things(1)
    assert pages[-1].note is not None
    assert pages[-1].note.endswith("which is not http://127.0.0.1:8000: it was not followed, your token stays here.")


@pytest.mark.parametrize(
    "header",
    ['<http://127.0.0.1:8000/x; rel="next"', '<http://[bad>; rel="next"', '<http://127.0.0.1:x/>; rel="next"', '<ftp://a/>; rel="next"'],
)
def test_a_malformed_link(header: str) -> None:
    """A next page that cannot be read is not taken for the end."""
    pages, _, _ = walked(lambda _path, _query: (200, {"link": header}, things(1)))
    assert (pages[-1].ended, pages[-1].items) == (Ended.BAD_LINK, things(1))
    assert pages[-1].note is not None


@pytest.mark.parametrize(("rest", "why"), [("x" * 70_000, "is 70,025 characters long"), ("\x01x", "holds control characters")])
def test_a_link_that_no_request_can_hold(rest: str, why: str) -> None:
    """A next page whose URL cannot be sent ends the list where it stands, with what was read; the note is short."""
    pages, _, asked = walked(lambda _path, _query: (200, link("next", f"http://127.0.0.1:8000/?a={rest}"), things(1)))
    assert (pages[-1].ended, pages[-1].items, len(asked)) == (Ended.BAD_LINK, things(1), 1)
    assert pages[-1].note == f"Page 1 names a next page whose URL {why}: it cannot be asked for."


# Failures


@pytest.mark.parametrize(
    ("reply", "outcome", "note"),
    [
        (
            (401, {"www-authenticate": "Bearer"}, {}),
            Outcome.UNAUTHORIZED,
            "Page 3 failed, unauthorized (401); the pages before it are whole.",
        ),
        ((500, {}, {}), Outcome.SERVER_ERROR, "Page 3 failed, server_error (500); the pages before it are whole."),
        ((429, {}, {}), Outcome.THROTTLED, "Page 3 failed, throttled (429); the pages before it are whole."),
        (
            (200, {"content-type": "text/html"}, b"<html>"),
            Outcome.PROTOCOL_ERROR,
            f"Page 3 failed, protocol_error (200): {PAGE_IN_PLACE}; the pages before it are whole.",
        ),
    ],
)
def test_a_failure_in_the_middle(reply: Reply, outcome: Outcome, note: str) -> None:
    """What failed ends the walk with a note; the items before it are given."""

    def respond(path: str, query: dict[str, list[str]]) -> Reply:
        return reply if query.get("page") == ["3"] else ordinal(things(*range(40)))(path, query)

    pages, recorded, _ = walked(respond)
    assert (ids(pages), pages[-1].ended, pages[-1].note) == (list(range(20)), Ended.FAILED, note)
    assert recorded[-1].outcome is outcome


@pytest.mark.parametrize(
    ("body", "ended", "found", "note"),
    [
        ({"id": 1, "name": "x"}, Ended.COMPLETE, [{"id": 1, "name": "x"}], "This is one object, not a list."),
        (b"{not json", Ended.NOT_A_LIST, [], "Page 1 is not JSON: no list of items."),
        (b'"text"', Ended.NOT_A_LIST, [], "Page 1 is JSON of another kind (str): no list of items."),
    ],
)
def test_what_is_no_list(body: Any, ended: Ended, found: list[Any], note: str) -> None:
    """One object is one item; anything else is said to be no list."""
    pages, _, _ = walked(lambda _path, _query: (200, {}, body))
    assert [(page.ended, page.items, page.note) for page in pages] == [(ended, found, note)]


@pytest.mark.parametrize(
    ("headers", "waited"), [({"retry-after": "3"}, 3.0), ({}, 6.0), ({"retry-after": "9999"}, 120.0), ({"retry-after": "0"}, 6.0)]
)
def test_a_refused_page_is_asked_again(headers: dict[str, str], waited: float) -> None:
    """With `refusals` a throttled page is asked again after the server's wait; both tries are observations."""
    tries = iter([429, 429, 200])

    def respond(path: str, query: dict[str, list[str]]) -> Reply:
        if query.get("page") == ["2"] and (status := next(tries)) != 200:
            return status, headers, b"Rate Limit Exceeded"
        return ordinal(things(*range(15)))(path, query)

    pages, recorded, _ = walked(respond, refusals=2)
    assert (ids(pages), pages[-1].ended, pages[-1].number) == (list(range(15)), Ended.COMPLETE, 2)
    assert [one.outcome.value for one in recorded] == ["ok", "throttled", "throttled", "ok"]
    assert [round(one.due_s, 6) for one in recorded] == [0.0, 0.0, waited, 2 * waited]


def test_a_page_that_is_always_refused_ends_the_walk() -> None:
    """So many times in all a throttled page is asked again, whichever page it is; then the walk has failed."""
    first = iter([429, 200])

    def respond(path: str, query: dict[str, list[str]]) -> Reply:
        status = 429 if query.get("page") == ["2"] and len(asked) < 20 else next(first, 200)
        asked.append(status)
        return (status, {}, {}) if status == 429 else ordinal(things(*range(15)))(path, query)

    asked: list[int] = []
    pages, _, _ = walked(respond, refusals=3)
    assert asked == [429, 200, 429, 429, 429]
    assert (ids(pages), pages[-1].ended) == (list(range(10)), Ended.FAILED)
    assert pages[-1].note == "Page 2 failed, throttled (429); the pages before it are whole."


# Envelopes and other ways of paging


def test_an_envelope() -> None:
    """The items of `{"sis_imports": [...]}` are given; the list has no last."""

    def respond(path: str, query: dict[str, list[str]]) -> Reply:
        status, headers, found = ordinal(things(*range(12)))(path, query)
        return status, headers, {"sis_imports": found}

    assert ids(walked(respond, "/api/v1/accounts/1/sis_imports")[0]) == list(range(12))


def test_bookmarks_in_the_body() -> None:
    """Brightspace's PagingInfo is followed."""

    def respond(_path: str, query: dict[str, list[str]]) -> Reply:
        start = int(query.get("bookmark", ["0"])[0])
        more = start + 2 < 5
        return (
            200,
            {},
            {"PagingInfo": {"Bookmark": str(start + 2), "HasMoreItems": more}, "Items": things(*range(start, min(start + 2, 5)))},
        )

    pages, _, asked = walked(respond, "/d2l/api/lp/1.31/enrollments/myenrollments/", "brightspace")
    assert (ids(pages), pages[-1].ended) == ([0, 1, 2, 3, 4], Ended.COMPLETE)
    assert asked[1] == "/d2l/api/lp/1.31/enrollments/myenrollments/?bookmark=2"


def test_next_page_in_the_body() -> None:
    """Blackboard's paging.nextPage is followed."""

    def respond(path: str, query: dict[str, list[str]]) -> Reply:
        start = int(query.get("offset", ["0"])[0])
        paging = {"paging": {"nextPage": f"{path}?offset={start + 2}"}} if start < 2 else {}
        return 200, {}, {"results": things(start, start + 1), **paging}

    assert ids(walked(respond, "/learn/api/public/v3/courses", "blackboard")[0]) == [0, 1, 2, 3]
