"""How lists page: default and greatest size, style, `last`, and what each page size costs; from observations of scenario `pagination`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

from probes.observation import Observation
from probes.stats import median, short

Numbered = tuple[int, Observation]
GREATEST = 1_000
"""A page size above this was asked to learn the greatest, not to be given it."""


def rows(pages: Iterable[Numbered]) -> list[dict[str, Any]]:
    """`pagination` of `probes.report/1`, with `total`, the times by page size (`sizes`) and the observations behind."""
    lists: dict[tuple[str, str], list[Numbered]] = {}
    for line, page in pages:
        if page.scenario == "pagination":
            lists.setdefault((page.instance, _list_of(page)), []).append((line, page))
    return [_row(instance, call, seen) for (instance, call), seen in lists.items()]


def _list_of(page: Observation) -> str:
    """The list that was asked: as the scenario noted it, else the path without its query."""
    noted = page.facts.get("list")
    return f"{page.method} {noted if isinstance(noted, str) else urlsplit(page.path).path}"


def _row(instance: str, call: str, seen: Sequence[Numbered]) -> dict[str, Any]:
    good = [(line, o) for line, o in seen if o.ok and "page_asked" not in o.facts]
    facts = [o.facts for _, o in good]
    styles = [f["style"] for f in facts if isinstance(f.get("style"), str)]
    firsts = [f["has_last"] for f in facts if isinstance(f.get("has_last"), bool)]
    given = [size for f in facts if (size := whole(f.get("per_page"))) is not None]
    totals = [total for f in facts if (total := whole(f.get("total"))) is not None]
    return {
        "instance": instance,
        "call": call,
        "default_per_page": next(
            (size for f in facts if f.get("per_page_asked") is None and (size := whole(f.get("per_page"))) is not None), None
        ),
        "max_per_page": _greatest(facts, given),
        "style": next((style for style in styles if style != "none"), styles[0] if styles else None),
        "has_last": any(firsts) if firsts else None,
        "total": max(totals, default=None),
        "sizes": _sizes(good, max(totals, default=None)),
        "n": len(good),
        "source": {
            "where": {"instance": instance, "scenario": "pagination", "facts.list": call.partition(" ")[2]},
            "lines": [seen[0][0], seen[-1][0]],
            "n": len(seen),
        },
    }


def _greatest(facts: Sequence[dict[str, Any]], given: Sequence[int]) -> int | None:
    """The greatest size ever given, once one was asked that is beyond any; None before, as a larger one might have been given."""
    return max(given) if given and any((whole(f.get("per_page_asked")) or 0) >= GREATEST for f in facts) else None


def _sizes(good: Sequence[Numbered], total: int | None) -> list[dict[str, Any]]:
    """Median time of a page by how many items it brought: for each, time per item and, where the total is known, for the whole list."""
    by_items: dict[int, list[float]] = {}
    for _, o in good:
        items, time = whole(o.facts.get("items")), o.flight_s
        if items and time is not None:
            by_items.setdefault(items, []).append(time)
    found = []
    for items, times in sorted(by_items.items()):
        page = median(times)
        pages = None if total is None else -(-total // items)
        found.append(
            {
                "items": items,
                "page_s": short(page),
                "item_s": short(page / items),
                "whole_s": None if pages is None else short(page * pages),
                "pages": pages,
                "n": len(times),
            }
        )
    return found


def whole(value: Any) -> int | None:
    """`value` where it is a whole number; None for anything else that a server may have sent."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None
