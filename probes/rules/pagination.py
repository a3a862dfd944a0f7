"""How lists page: sizes, clamping, links, `last`, and which page size is best."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from probes.observation import Observation
from probes.rules.base import Finding, Severity, View
from probes.stats import median
from probes.wording import plural, seconds

GREATEST = 100_000
"""The page size that the scenario asks for to see the greatest that is given."""
LEAST_ROUNDS = 2
"""Pages of one length from which chance can be told from cost."""
LEAST_MORE = 2
"""So many items more show that a page was cut: one may have been added meanwhile."""
WORTH_IT = 1.1
"""By how many times an item must be dearer in pages of the worst size for a word on the best."""
AS_CHEAP = 1.25
"""Sizes whose items cost so many times the least cost much the same: the greatest of them needs the fewest calls."""
STUDIED = 2
"""A list of which more pages than these were asked is the one the reader asked about; others are told beside it."""


def judge(view: View) -> Iterator[Finding]:
    """Of each list: one finding on its sizes, then what a script must know to walk it whole."""
    for name, seen in view.each("pagination"):
        lists: dict[str, Sequence[Observation]] = {}
        for path in dict.fromkeys(str(o.facts["list"]) for o in seen if o.facts.get("list")):
            of_list = [o for o in seen if o.facts.get("list") == path]
            good = [o for o in of_list if o.ok and o.facts.get("items") is not None and "page_asked" not in o.facts]
            if good:
                lists[path] = good
                yield from _cut(name, path, good)
                yield from _sizes(name, path, good)
                yield from _walking(name, path, of_list, good)
                yield from _best(name, path, good)
            elif any(o.ok for o in of_list):
                yield Finding("no_list", Severity.INFO, name, f"'{path}' at {name} is no list: there is nothing to page.")
        yield from _clamped(name, lists)


def sizes(good: Sequence[Observation]) -> tuple[int | None, int | None]:
    """(default, greatest) page size of one list, None where it does not show."""
    default = next((o.facts.get("per_page") for o in good if o.facts.get("per_page_asked") is None), None)
    greatest = next((o.facts.get("per_page") for o in good if o.facts.get("per_page_asked") == GREATEST), None)
    return default, greatest


def _sizes(name: str, path: str, good: Sequence[Observation]) -> Iterator[Finding]:
    default, greatest = sizes(good)
    total = max((seen for o in good if (seen := o.facts.get("total")) is not None), default=None)
    if default is None and greatest is None:
        says = (
            f"'{path}' at {name} shows no page size: "
            f"{plural(max(o.facts['items'] for o in good), 'item')} came at most, without a link to more."
        )
        yield Finding("page_size_unknown", Severity.INFO, name, says)
        return
    whole = f" of {total:,} in all" if total else ""
    top = f"at most {greatest}" if greatest is not None else "a greatest size that does not show"
    asking = "whatever is asked for" if greatest == default else f"unless asked for more, {top}"
    says = (
        f"'{path}' at {name} gives {default if default is not None else 'an unknown number of'} items a page{whole} {asking}"
        f"{'; it holds none now' if total == 0 else ''}."
    )
    goes_on = any(_names(o, "next") for o in good if o.facts.get("per_page_asked") is None)
    short = len(good) > STUDIED and default is not None and (goes_on or (total is not None and total > default))
    size = f"Ask for per_page={greatest} and follow" if greatest and greatest != default else "Follow"
    advice = f"{size} rel=next until there is none."
    yield Finding("page_size", Severity.WARNING if short else Severity.INFO, name, says, (), advice)


def _clamped(name: str, lists: Mapping[str, Sequence[Observation]]) -> Iterator[Finding]:
    """What came when too much was asked for, or nothing: one finding for all lists of which the same is to be said."""
    told: dict[str, list[str]] = {}
    for path, good in lists.items():
        greatest = sizes(good)[1]
        if greatest is not None:
            says = f"{name} does not say so when it gives less than asked: per_page={GREATEST} gave {greatest}{_zero(good)}."
            told.setdefault(says, []).append(f"'{path}'")
    for says, paths in told.items():
        advice = "Read the size from rel=current, never from what you asked for."
        yield Finding("page_clamped", Severity.INFO, name, says, tuple(paths), advice)


def _names(o: Observation, rel: str) -> bool:
    return rel in str(o.facts.get("rels", "")).split(",")


def _cut(name: str, path: str, good: Sequence[Observation]) -> Iterator[Finding]:
    """A full page without a next one, though another page of the same list brought more: links were lost on the way."""
    most = max(o.facts["items"] for o in good)
    for o in good:
        items, size = o.facts["items"], o.facts.get("per_page")
        ends = not _names(o, "next") and size in (None, items)
        if o.facts.get("per_page_asked") is None and ends and 0 < items <= most - LEAST_MORE:
            says = (
                f"'{path}' at {name} gives {plural(items, 'item')} when no size is asked for and names no next page, though it holds "
                f"{most:,} at least: who follows the links misses the rest, without an error."
            )
            advice = (
                "Something on the way takes links out of the Link header: ask for per_page=100, and where a page comes full for page=2, "
                "3 and so on until one is empty; tell whoever runs the proxy."
            )
            yield Finding("pages_cut", Severity.WARNING, name, says, (f"relations given: {o.facts.get('rels') or 'none'}",), advice)


def _zero(good: Sequence[Observation]) -> str:
    given = next((o.facts.get("per_page") for o in good if o.facts.get("per_page_asked") == 0), None)
    return "" if given is None else f", per_page=0 gave {given}"


def _walking(name: str, path: str, of_list: Sequence[Observation], good: Sequence[Observation]) -> Iterator[Finding]:
    yield from _astray(name, path, good)
    styles = {o.facts.get("style") for o in good}
    if "bookmark" in styles:
        says = f"'{path}' at {name} pages by bookmarks: page numbers do not work there, and a damaged bookmark gives the first page again."
        yield Finding("bookmarks", Severity.INFO, name, says, (), "Follow rel=next as it is; stop when a page or its first id repeats.")
    linked = [o for o in good if o.facts.get("rels")]
    if linked and not any(o.facts.get("has_last") for o in linked):
        says = f"'{path}' at {name} gives no rel=last, n = {len(linked)}: how many pages there are shows at the end only."
        yield Finding("no_last", Severity.INFO, name, says, (), "Do not count pages beforehand: walk until rel=next is missing.")
    beyond = [o for o in of_list if "page_asked" in o.facts and o.ok and o.facts.get("items") == 0]
    if beyond:
        says = f"A page beyond the end of '{path}' at {name} is an empty list, not an error."
        yield Finding("empty_beyond", Severity.INFO, name, says, (), "Stop at a missing rel=next, not at an error.")


def _astray(name: str, path: str, good: Sequence[Observation]) -> Iterator[Finding]:
    """Next links that a job must not follow, or would follow for ever."""
    astray = [str(o.facts["next_at"]) for o in good if o.facts.get("next_at")]
    circles = astray.count("itself")
    if circles:
        says = f"A page of '{path}' at {name} names itself as the next one, {circles} of {len(good)} times: who follows it never ends."
        yield Finding("circular_next", Severity.WARNING, name, says, (), "Remember what was asked and stop when it comes again.")
    if len(astray) > circles:
        where = ", ".join(dict.fromkeys(one for one in astray if one != "itself"))
        says = f"The next links of '{path}' at {name} lead to {where}, n = {len(astray) - circles}: who follows them sends the token there."
        advice = "Take path and query of the link only, and ask your own instance; tell whoever runs it, or the proxy before it."
        yield Finding("foreign_next", Severity.WARNING, name, says, (), advice)


def _best(name: str, path: str, good: Sequence[Observation]) -> Iterator[Finding]:
    """The size with the least time for an item, when pages of several lengths came more than once and chance does not explain it."""
    lengths = _by_length(good)
    if len(lengths) < 2:
        return
    middle = {items: median(one.item_s) for items, one in lengths.items()}
    best = lengths[max(items for items, time_s in middle.items() if time_s <= AS_CHEAP * min(middle.values()))]
    worst = lengths[max(middle, key=lambda items: middle[items])]
    ratio = median(worst.item_s) / median(best.item_s)
    if ratio < WORTH_IT or min(worst.item_s) <= max(best.item_s):
        return
    says = (
        f"'{path}' at {name} is cheapest with per_page={best.asked}: an item takes {ratio:.{0 if ratio >= 10 else 1}f} times as long "
        f"with per_page={worst.asked}."
    )
    yield Finding(
        "best_page_size", Severity.INFO, name, says, tuple(one.line for one in lengths.values()), f"Ask for per_page={best.asked}."
    )


@dataclass(frozen=True, slots=True)
class _Length:
    """Pages of one length, however many items were asked for: `asked` at most; times and costs of an item."""

    asked: int
    item_s: tuple[float, ...]
    costs: tuple[float, ...]

    @classmethod
    def of(cls, pages: Sequence[Observation]) -> _Length:
        """From pages that hold items and took a time."""
        costs = tuple(o.cost / o.facts["items"] for o in pages if o.cost is not None)
        sizes = (min(o.facts["per_page_asked"], o.facts.get("per_page") or GREATEST) for o in pages)  # more than is given need not be asked
        return cls(max(sizes), tuple((o.flight_s or 0.0) / o.facts["items"] for o in pages), costs)

    @property
    def line(self) -> str:
        """As evidence."""
        cost = f", cost {median(self.costs):.4f} an item" if self.costs else ""
        return f"per_page={self.asked}: {seconds(median(self.item_s))} an item{cost}, n = {len(self.item_s)}"


def _by_length(good: Sequence[Observation]) -> dict[int, _Length]:
    """The lengths of pages that came often enough, the shortest first. Sizes beyond the end of a list bring the same page."""
    sized = [
        o
        for o in good
        if o.facts.get("per_page_asked") not in (None, 0, GREATEST) and o.facts["items"] > 0 and o.flight_s is not None and o.flight_s > 0
    ]
    found: dict[int, list[Observation]] = {}
    for o in sorted(sized, key=lambda o: int(o.facts["items"])):
        found.setdefault(o.facts["items"], []).append(o)
    return {items: _Length.of(pages) for items, pages in found.items() if len(pages) >= LEAST_ROUNDS}
