"""Pages as `lib/api.rb` makes them: sizes clamped in silence, ordinal pages or bookmarks, a Link header of at most 6 KB."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

PER_PAGE = 10
MAX_PER_PAGE = 100
LINK_BYTES = 6144
NOT_COPIED = frozenset({"page", "per_page", "access_token", "api_key"})
RELS = ("current", "next", "prev", "first", "last")
KEPT_FIRST = ("next", "last", "prev", "current", "first")


class InvalidPageError(Exception):
    """The page asked for cannot exist: Canvas answers 404."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Default and greatest page size of an endpoint, and how it pages; `total=False`: it never says how many there are."""

    default: int = PER_PAGE
    cap: int = MAX_PER_PAGE
    bookmarks: bool = False
    total: bool = True


@dataclass(frozen=True, slots=True)
class Page:
    """One page: its items, its size, page tokens by rel."""

    items: Sequence[Any]
    per_page: int
    tokens: dict[str, str] = field(default_factory=dict)

    def link(self, url: str, query: str) -> str:
        """The Link header; `url` without its query, `query` as it was asked."""
        copied = urlencode([(k, v) for k, v in parse_qsl(query, keep_blank_values=True) if k not in NOT_COPIED])
        start = f"{url}?{copied}&" if copied else f"{url}?"
        links = {rel: f'<{start}page={quote(token, safe=":")}&per_page={self.per_page}>; rel="{rel}"' for rel, token in self.tokens.items()}
        kept = _fitting(links)
        return ",".join(links[rel] for rel in RELS if rel in kept)


def page(items: Sequence[Any], query: str, sizes: Sizes, max_per_page: int = MAX_PER_PAGE) -> Page:
    """The page of `items` that `query` asks for. Raises InvalidPageError."""
    asked = dict(parse_qsl(query, keep_blank_values=True))
    per_page = per_page_of(asked.get("per_page"), sizes, max_per_page)
    if sizes.bookmarks:
        return _bookmarked(items, asked.get("page"), per_page)
    return _ordinal(items, asked.get("page"), per_page, with_last=sizes.total)


def per_page_of(text: str | None, sizes: Sizes, max_per_page: int = MAX_PER_PAGE) -> int:
    """The page size in effect: what Ruby's to_i reads, clamped to 1..cap in silence."""
    cap = min(sizes.cap, max_per_page)
    return min(max(1, ruby_int(text) if text is not None else sizes.default), cap)


def ruby_int(text: str) -> int:
    """`text` as Ruby's String#to_i reads it: leading digits, else 0."""
    match = re.match(r"\s*([+-]?[0-9]{1,18})", text)
    return int(match[1]) if match else 0


def id_in(text: str) -> int | None:
    """The id that `text` is; None when it is none."""
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def _ordinal(items: Sequence[Any], asked: str | None, per_page: int, *, with_last: bool) -> Page:
    number = 1 if asked is None or asked == "" else ruby_int(asked)
    if number < 1:
        raise InvalidPageError(asked)
    last = max(1, -(-len(items) // per_page))
    tokens = {"current": str(number)}
    if number < last:
        tokens["next"] = str(number + 1)
    if number > 1:
        tokens["prev"] = str(number - 1)
    tokens["first"] = "1"
    if with_last:
        tokens["last"] = str(last)
    return Page(items[(number - 1) * per_page : number * per_page], per_page, tokens)


def _bookmarked(items: Sequence[Any], asked: str | None, per_page: int) -> Page:
    if asked and re.fullmatch(r"[+-]?\d+", asked) and ruby_int(asked) != 1:
        raise InvalidPageError(asked)
    after = _read_bookmark(asked)
    start = 0 if after is None else next((i for i, item in enumerate(items) if id_of(item) > after), len(items))
    shown = items[start : start + per_page]
    tokens = {"current": "first" if after is None or asked is None else asked}
    if start + per_page < len(items):
        tokens["next"] = bookmark(id_of(shown[-1]))
    tokens["first"] = "first"
    return Page(shown, per_page, tokens)


def id_of(item: Any) -> int:
    """The id of a record or a document."""
    return int(item["id"] if isinstance(item, dict) else item.id)


def bookmark(last_id: int) -> str:
    """The page token behind the item with that id; items of bookmarked lists stand in the order of their ids."""
    return "bookmark:" + base64.urlsafe_b64encode(json.dumps([last_id]).encode()).decode().rstrip("=")


def _read_bookmark(asked: str | None) -> int | None:
    """The id in a bookmark; None, the first page, for one that cannot be read (`BookmarkedCollection::Collection`)."""
    if asked is None or not asked.startswith("bookmark:"):
        return None
    text = asked.removeprefix("bookmark:")
    try:
        value = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError:
        return None
    return value[0] if isinstance(value, list) and len(value) == 1 and isinstance(value[0], int) else None


def _fitting(links: dict[str, str]) -> set[str]:
    kept: set[str] = set()
    length = 0
    for rel in KEPT_FIRST:
        if rel not in links:
            continue
        length += len(links[rel]) + 1
        if length > LINK_BYTES:
            break
        kept.add(rel)
    return kept
