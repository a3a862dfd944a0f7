"""Where the items of a list are in a body, and where its next page is: pure functions, one a way of paging."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from probes.dialects.base import Headers
from probes.dialects.links import links

ENVELOPES = ("items", "results", "data", "objects")
"""Keys (lower case) that commonly hold the items, after the list's own name: `{"sis_imports": [...]}`."""


class BadLink(ValueError):
    """There is a next page, but what names it cannot be read."""


def items(document: Any, path: str) -> list[Any] | None:
    """The items in a parsed body: itself, or the list in its envelope; None when there is no list in it."""
    if isinstance(document, list):
        return document
    if not isinstance(document, dict):
        return None
    lists = {str(key).lower(): value for key, value in document.items() if isinstance(value, list)}
    own = urlsplit(path).path.rstrip("/").rpartition("/")[2].lower()
    for key in (own, *ENVELOPES):
        if key in lists:
            return lists[key]
    return next(iter(lists.values())) if len(lists) == 1 and _is_envelope(document) else None


def _is_envelope(document: Mapping[str, Any]) -> bool:
    """An object with an id or a name is a thing that has a list, not an envelope around one."""
    return not {"id", "name", "errors"} & document.keys()


def following(paging: str, headers: Headers, document: Any, url: str) -> str | None:
    """The URL of the next page, absolute; None when this was the last. Raises BadLink when it is named but cannot be read."""
    if paging == "bookmark":
        return _by_bookmark(document, url)
    if paging == "next_page":
        return _by_next_page(document, url)
    return _by_link(headers, url)


def _by_link(headers: Headers, url: str) -> str | None:
    found = links(headers, url).get("next")
    if found is None and "next" in _outside_targets(headers.get("link", "")).lower():
        raise BadLink(f"the Link header names a next page that cannot be read: {headers['link'][:200]}")
    return found


def _outside_targets(text: str) -> str:
    """The Link header without its readable URLs, where 'next' may be part of a query."""
    parts = text.split("<")
    return parts[0] + "".join(part.partition(">")[2] or part for part in parts[1:])


def _by_bookmark(document: Any, url: str) -> str | None:
    """Brightspace: `PagingInfo` with a bookmark, or `Next` with a whole URL."""
    if not isinstance(document, dict):
        return None
    if isinstance(document.get("Next"), str):
        return str(document["Next"])
    info = document.get("PagingInfo")
    if not isinstance(info, dict) or not info.get("HasMoreItems"):
        return None
    if not info.get("Bookmark"):
        raise BadLink("PagingInfo says that there are more items, but names no bookmark")
    return with_query(url, bookmark=str(info["Bookmark"]))


def _by_next_page(document: Any, url: str) -> str | None:
    """Blackboard: `paging.nextPage` is a path."""
    paging = document.get("paging") if isinstance(document, dict) else None
    found = paging.get("nextPage") if isinstance(paging, dict) else None
    if found is None:
        return None
    if not isinstance(found, str) or not found.startswith(("/", "http")):
        raise BadLink(f"paging.nextPage is not a path: {str(found)[:200]}")
    parts = urlsplit(url)
    return found if found.startswith("http") else f"{parts.scheme}://{parts.netloc}{found}"


def with_query(url: str, **values: str) -> str:
    """`url` with parameters set, replacing those of the same name."""
    parts = urlsplit(url)
    pairs = [(key, value) for key, value in parse_qsl(parts.query, keep_blank_values=True) if key not in values]
    return urlunsplit(parts._replace(query=urlencode([*pairs, *values.items()], safe="[]:,")))
