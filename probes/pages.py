"""Walking a list safely: every page, every item once, never off the configured origin, never in a circle."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from probes.addresses import origin, target, unsendable, without_secrets
from probes.calls import Call
from probes.dialects.lists import BadLink, following, items
from probes.observation import Observation, Outcome
from probes.wording import quoted

if TYPE_CHECKING:
    from probes.client import Answer, Client

UNANSWERED = {
    Outcome.DNS_ERROR: "the name of its host is not known here",
    Outcome.CONNECT_ERROR: "no connection could be made",
    Outcome.CONNECT_TIMEOUT: "no connection came about in time",
    Outcome.TLS_ERROR: "no secure connection could be made",
    Outcome.READ_TIMEOUT: "no answer came in time",
}
"""What to call outcomes of which the error's own words say less."""
OTHER_PAGES = frozenset({"next", "prev", "first", "last"})
"""Relations of which Canvas gives one at least on every page."""
FRUITLESS_PAGES = 2
"""So many pages in a row that bring nothing new are a circle."""
EMPTY_PAGES = 20
"""So many empty pages in a row are one too: a filter may leave some pages empty."""
STALE_PAGES = 100
"""So many pages in a row without a new id are one too, though their items differ: clocks and counters in them may tick."""
REFUSED_WAIT_S = 6.0
"""Wait after a refusal that names no time: 5 s is what Canvas needs from Remaining 0 to admit again (hold 50, leak 10/s)."""


class Ended(StrEnum):
    """Why a walk ended with this page. Only COMPLETE means that every item was seen."""

    COMPLETE = "complete"
    LIMIT = "limit"
    LOOP = "loop"
    FOREIGN_LINK = "foreign_link"
    BAD_LINK = "bad_link"
    NOT_A_LIST = "not_a_list"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Page:
    """One page: its items that no earlier page had, its answer, its number from 1.

    `ended` is set on the last page of a walk and on no other; `note` is one sentence for a person, where there is something to say;
    `repeated` counts the items left out, as they had come before; `next` is the path to go on with, this page's own where it failed,
    None where the list is whole or nothing sensible follows.
    """

    items: list[Any]
    answer: Answer
    number: int
    ended: Ended | None = None
    note: str | None = None
    repeated: int = 0
    next: str | None = None


@dataclass(slots=True)
class _Walk:
    """What is remembered between pages: URLs asked, ids seen, pages that brought nothing."""

    urls: set[str] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)
    fruitless: int = 0
    stale: int = 0
    empty: int = 0

    def fresh(self, found: list[Any]) -> list[Any]:
        """The items not seen before, and counts of pages in a row without any.

        An item with an id is known by the whole of it: lists of versions, or of events with overrides, name one id again and again. A page
        of items without ids is known by the whole of the page.
        """
        again = bool(found) and not self._first(_digest(found))
        new = [] if again else [item for item in found if _id(item) is None or self._first(_digest(item))]
        ids = [self._first(f"id {key}") for key in map(_id, found) if key is not None]
        self.fruitless = self.fruitless + 1 if found and not new else 0
        self.stale = self.stale + 1 if ids and not any(ids) else 0
        self.empty = 0 if found else self.empty + 1
        return new

    @property
    def circling(self) -> bool:
        """Whether the last pages brought nothing new."""
        return self.fruitless >= FRUITLESS_PAGES or self.empty >= EMPTY_PAGES or self.stale >= STALE_PAGES

    def _first(self, key: str) -> bool:
        known = key in self.ids
        self.ids.add(key)
        return not known


def _id(item: Any) -> int | str | None:
    key = item.get("id") if isinstance(item, dict) else None
    return key if isinstance(key, int | str) else None


def _digest(document: Any) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


async def walk(
    client: Client, path: str, *, scenario: str, limit: int | None = None, refusals: int = 0, name: str | None = None
) -> AsyncIterator[Page]:
    """The pages of the list at `path`, at most `limit` of them. The last one says in `ended` why it is the last.

    Observations are named after `path`, whatever page they are of, or by `name`.

    A page refused by the throttle is asked again after the server's wait, at most `refusals` times in all; each try is an observation.
    Raises what Client.ask raises.
    """
    seen = _Walk()
    asked: str | None = path
    number = 0
    while asked is not None:
        number += 1
        seen.urls.add(asked)
        answer, document = await _page(client, asked, name or f"GET {path}", scenario, number)
        if answer.observation.outcome is Outcome.THROTTLED and refusals > 0:
            refusals -= 1
            number -= 1
            await asyncio.sleep(_wait_s(answer.observation))
            continue
        page = _read(client, seen, answer, document, number, limit, asked)
        asked = page.next if page.ended is None else None
        yield page


async def _page(client: Client, asked: str, name: str, scenario: str, number: int) -> tuple[Answer, Any]:
    """One page and its parsed body; the observation notes its number, items and relations."""
    parsed: list[Any] = []

    def note(answer: Answer) -> Mapping[str, Any]:
        document = answer.json()
        parsed.append(document)
        found = items(document, asked)
        facts: dict[str, Any] = {"page": number, "rels": ",".join(answer.links)}
        return facts if found is None else facts | {"items": len(found)}

    answer = await client.ask(Call("GET", asked), scenario=scenario, name=name, note=note)
    return answer, parsed[0] if parsed else None


def _read(client: Client, seen: _Walk, answer: Answer, document: Any, number: int, limit: int | None, asked: str) -> Page:
    """The page that `asked` brought."""
    if not answer.observation.ok:
        return Page([], answer, number, Ended.FAILED, _failure(answer.observation, number), next=asked)
    found = items(document, answer.observation.path)
    if found is None:
        return _single(answer, document, number)
    new = seen.fresh(found)
    repeated = len(found) - len(new)
    try:
        url = following(client.dialect.paging, answer.headers, document, answer.url)
    except BadLink as error:
        return Page(new, answer, number, Ended.BAD_LINK, f"After page {number} {without_secrets(str(error))}.", repeated)
    if url is None:
        return Page(new, answer, number, Ended.COMPLETE, _doubt(client, answer, len(found), number), repeated)
    ended, note = _obstacle(client, seen, url, number, limit)
    return Page(new, answer, number, ended, note, repeated, target(url) if ended in (None, Ended.LIMIT) else None)


def _doubt(client: Client, answer: Answer, count: int, number: int) -> str | None:
    """A word on an only page that is full and names no other: Canvas names the first one at least, and a proxy may take that out."""
    if number > 1 or client.dialect.name != "canvas" or OTHER_PAGES & answer.links.keys():
        return None
    sized = parse_qs(urlsplit(answer.links.get("current", answer.url)).query).get(client.dialect.page_size or "", ())
    if str(count) not in sized:
        return None
    return "The only page is full, and its Link header names no other: there may be more items; ask for page=2 to see."


def _obstacle(client: Client, seen: _Walk, url: str, number: int, limit: int | None) -> tuple[Ended | None, str | None]:
    """What forbids going on to `url`, and a sentence on it; (None, None) when nothing does."""
    there = origin(url)
    why = unsendable(url)
    if there is None or why is not None:
        what = f"whose URL {why}: it cannot be asked for" if why else f"that is no URL: {without_secrets(url[:200])}"
        return Ended.BAD_LINK, f"Page {number} names a next page {what}."
    if there != origin(client.instance.url):
        return Ended.FOREIGN_LINK, (
            f"Page {number} names a next page at {there}, which is not {client.instance.url}: it was not followed, your token stays here."
        )
    if target(url) in seen.urls:
        return Ended.LOOP, f"Page {number} names a page that was read before as its next: the list goes in a circle."
    if seen.circling:
        return Ended.LOOP, f"Page {number} brought nothing new, like the one before: the list goes in a circle."
    if limit is not None and number >= limit:
        return Ended.LIMIT, f"Stopped after {number} pages as asked; there are more."
    return None, None


def _single(answer: Answer, document: Any, number: int) -> Page:
    if isinstance(document, dict):
        return Page([document], answer, number, Ended.COMPLETE, "This is one object, not a list.")
    what = "not JSON" if document is None else f"JSON of another kind ({type(document).__name__})"
    return Page([], answer, number, Ended.NOT_A_LIST, f"Page {number} is {what}: no list of items.")


def _failure(observation: Observation, number: int) -> str:
    rest = "nothing was read." if number == 1 else "the pages before it are whole."
    if observation.outcome in UNANSWERED:
        return (
            f"Page {number} failed, {UNANSWERED[observation.outcome]}: probes diagnose -i {quoted(observation.instance)} says why; {rest}"
        )
    status = f" ({observation.status})" if observation.status else ""
    detail = f": {observation.error}" if observation.error else ""
    if observation.outcome is Outcome.REDIRECTED:
        detail = f": it leads to {observation.facts.get('location')}, where your token was not sent"
    if observation.outcome is Outcome.NOT_FOUND and observation.facts.get("html"):
        detail = ": a web page came: no such path in this API, 'probes explain' says more"
    return f"Page {number} failed, {observation.outcome.value}{status}{detail}; {rest}"


def _wait_s(observation: Observation) -> float:
    """Seconds to wait after a refusal; never less than a moment, never longer than two minutes."""
    wait = observation.retry_after_s or observation.reset_s or REFUSED_WAIT_S
    return min(max(wait, 0.1), 120.0)
