"""The Link header (RFC 8288), read as servers really write it: commas inside URLs, quotes or none, any case, several relations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urljoin

_TARGET = re.compile(r"<([^>]*)>")
_PARAMETER = re.compile(r""";\s*(?P<name>[^\s=;,"<>]+)\s*(?:=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"?|(?P<plain>[^\s;,"<>]*)))?\s*""")


def links(headers: Mapping[str, str], base: str = "") -> dict[str, str]:
    """Relation (lower case) -> URL, absolute when `base` is; the first of a repeated relation counts. Unreadable parts are left out."""
    text = headers.get("link", "")
    found: dict[str, str] = {}
    position = 0
    while (target := _TARGET.search(text, position)) is not None:
        position = target.end()
        rels: list[str] = []
        while (parameter := _PARAMETER.match(text, position)) is not None:
            position = parameter.end()
            if parameter["name"].lower() == "rel" and not rels:
                rels = (parameter["quoted"] or parameter["plain"] or "").lower().strip("'").split()
        url = _absolute(target[1].strip(), base)
        for rel in rels if url else ():
            found.setdefault(rel, url)
    return found


def _absolute(url: str, base: str) -> str:
    try:
        return urljoin(base, url) if base else url
    except ValueError:
        return ""
