from __future__ import annotations

import asyncio
import re

import pytest
from simulated import Simulated, answer, answers, links, simulated

from probes.simulator.paging import InvalidPageError, Sizes, bookmark, page, per_page_of, ruby_int
from probes.simulator.settings import Service, SimulatorSettings

COURSES = "/api/v1/courses"
ENROLLMENTS = "/api/v1/courses/1/enrollments"
BOOKMARKS = Sizes(bookmarks=True)
ITEMS = [{"id": number} for number in range(1, 26)]


def sizes(path: str) -> tuple[int, int]:
    """Default and greatest page size that the current link tells."""
    default, greatest = answers(path, path + ("&" if "?" in path else "?") + "per_page=100000")
    found = [re.search(r"per_page=(\d+)", links(a)["current"]) for a in (default, greatest)]
    return int(found[0][1]), int(found[1][1])  # type: ignore[index]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (COURSES, (10, 100)),
        (ENROLLMENTS, (10, 100)),
        ("/api/v1/users/self/activity_stream", (21, 100)),
        ("/api/v1/courses/1/app_center/apps", (72, 72)),
        ("/api/v1/accounts/1/lti_registrations", (15, 100)),
        ("/api/v1/courses/1/lti_resource_links", (50, 100)),
        ("/api/v1/accounts/1/sis_imports", (10, 100)),
    ],
)
def test_page_sizes(path: str, expected: tuple[int, int]) -> None:
    """Default and greatest page size of each endpoint, as the Link header tells them."""
    assert sizes(path) == expected


@pytest.mark.parametrize(("asked", "given"), [("0", 1), ("-1", 1), ("abc", 1), ("", 1), ("1000", 100), ("2.9", 2), ("7x", 7), (" 8", 8)])
def test_page_size_is_clamped_in_silence(asked: str, given: int) -> None:
    """Nonsense becomes 1, too much the cap, without an error."""
    assert per_page_of(asked, Sizes()) == given


def test_old_installations_cap_at_50() -> None:
    """The cap of an older installation is 50."""
    assert "per_page=50" in links(answer(f"{COURSES}?per_page=100", SimulatorSettings(max_per_page=50)))["current"]


def test_ten_of_26_courses() -> None:
    """A list without per_page gives 10 of 26 courses and says how to go on: current, next, first, last, in this order."""
    told = answer(COURSES)
    assert len(told.json()) == 10
    assert told.headers["link"] == (
        '<http://127.0.0.1/api/v1/courses?page=1&per_page=10>; rel="current",'
        '<http://127.0.0.1/api/v1/courses?page=2&per_page=10>; rel="next",'
        '<http://127.0.0.1/api/v1/courses?page=1&per_page=10>; rel="first",'
        '<http://127.0.0.1/api/v1/courses?page=3&per_page=10>; rel="last"'
    )


def test_last_page_has_no_next() -> None:
    """The last page has a prev and no next; one page beyond is empty and no error."""
    last, beyond = answers(f"{COURSES}?page=3", f"{COURSES}?page=9")
    assert (len(last.json()), set(links(last))) == (6, {"current", "prev", "first", "last"})
    assert (beyond.status_code, beyond.json()) == (200, [])


@pytest.mark.parametrize("number", ["0", "-1", "abc"])
def test_impossible_page_is_missing(number: str) -> None:
    """Pages that cannot exist are 404."""
    told = answer(f"{COURSES}?page={number}")
    assert (told.status_code, told.json()) == (404, {"errors": [{"message": "The specified resource does not exist."}]})


def test_query_is_copied_but_for_secrets() -> None:
    """Links keep the query except page, per_page, access_token and api_key."""
    told = answer(f"{COURSES}?include[]=term&per_page=5&access_token=simulator-token&state[]=available&api_key=x")
    assert links(told)["next"] == "include%5B%5D=term&state%5B%5D=available&page=2&per_page=5"


def test_long_links_lose_first_and_current() -> None:
    """Beyond 6 KB links are left out: next and last stay longest."""
    assert set(links(answer(f"{COURSES}?page=2&x={'y' * 1900}"))) == {"next", "last", "prev"}
    assert answer(f"{COURSES}?x={'y' * 7000}").headers["link"] == ""


def test_bookmarks_have_no_last() -> None:
    """Enrolments page by bookmarks: first, bookmark:..., no last, no prev, every item once."""

    async def talk(simulator: Simulated) -> tuple[list[int], set[str]]:
        path, seen, rels = f"{ENROLLMENTS}?per_page=50", [], set()
        while path:
            told = await simulator.get(path)
            seen += [e["id"] for e in told.json()]
            rels |= set(links(told))
            path = str(told.links.get("next", {}).get("url", ""))
            assert "page=first" in path or "page=bookmark:" in path or not path
        return seen, rels

    seen, rels = simulated(talk)
    assert (seen, rels) == (list(range(1, 232)), {"current", "next", "first"})


def test_bookmarked_page_by_number() -> None:
    """Of a bookmarked list page=1 is the first page and page=2 is 404."""
    first, second = answers(f"{ENROLLMENTS}?page=1", f"{ENROLLMENTS}?page=2")
    assert (first.status_code, first.json()[0]["id"], second.status_code) == (200, 1, 404)


@pytest.mark.parametrize("token", ["bookmark:!!", "bookmark:WyJ4Il0", "bookmark:e30", "nonsense", "bookmark:"])
def test_corrupt_bookmark_is_the_first_page(token: str) -> None:
    """A bookmark that cannot be read silently gives the first page again."""
    assert page(ITEMS, f"page={token}", BOOKMARKS).items[0] == {"id": 1}


def test_bookmark_goes_on_behind_its_item() -> None:
    """A bookmark names the last item seen, so that a removed item shifts nothing."""
    assert page(ITEMS[:5] + ITEMS[6:], f"page={bookmark(6)}&per_page=2", BOOKMARKS).items == [{"id": 7}, {"id": 8}]
    with pytest.raises(InvalidPageError):
        page(ITEMS, "page=7", BOOKMARKS)


def test_imports_have_an_envelope_and_no_last() -> None:
    """SIS imports come in an envelope, newest first, without last."""
    told = answer("/api/v1/accounts/1/sis_imports")
    ids = [record["id"] for record in told.json()["sis_imports"]]
    assert (ids, set(links(told))) == (list(range(26, 16, -1)), {"current", "next", "first"})


def test_ruby_reads_leading_digits() -> None:
    """Numbers are read as Ruby's to_i reads them."""
    assert [ruby_int(text) for text in ("12abc", "abc", "", "-3", "+4", "1e3", "9" * 5000)] == [12, 0, 0, -3, 4, 1, 10**18 - 1]


def test_items_cost_by_number() -> None:
    """The charge of a list grows with the items of its page, not with per_page asked for."""
    exact = Service(0.1, 0.0, cost_share=0.5, per_item_s=0.01)
    ten, all_ = answers(COURSES, f"{COURSES}?per_page=100", settings=SimulatorSettings(services={"GET /api/v1/courses": exact}))
    assert [float(a.headers["x-request-cost"]) for a in (ten, all_)] == pytest.approx([0.1, 0.18])
    assert all_.headers["x-runtime"] == "0.360000"


def test_etag_answers_304() -> None:
    """A matching If-None-Match is answered 304 and still carries its cost."""

    async def talk(simulator: Simulated) -> tuple[int, bytes, bool]:
        tag = (await simulator.get("/api/v1/accounts/1")).headers["etag"]
        again = await simulator.get("/api/v1/accounts/1", headers={"if-none-match": tag})
        await asyncio.sleep(0)
        return again.status_code, again.content, "x-request-cost" in again.headers

    assert simulated(talk) == (304, b"", True)
