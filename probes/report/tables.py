"""The report's tables: what columns they have, their rows, and each cell as text; HTML, Markdown, CSV and xlsx are made from these."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from probes.buckets import contradicted
from probes.report import facts
from probes.wording import plural, rounded_down, seconds

Row = dict[str, Any]
NONE = TO = "\N{EN DASH}"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: the key in a row, its heading, what kind of value it holds.

    Kinds: text, count, number, rate (rounded down), seconds, share, truth, interval, rate_interval (its low end rounded down),
    seconds_interval, source.
    """

    key: str
    label: str
    kind: str = "text"


@dataclass(frozen=True, slots=True)
class Table:
    """A named table; `hidden` rows were left out of it on a page, `untold` of them because they tell nothing."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    hidden: int = 0
    untold: int = 0

    def shortened(self, most: int) -> Table:
        """As a page shows it: the first `most` rows that tell something, the rest counted; columns that no row fills are left out."""
        telling = [row for row in self.rows if row.get("p50_s", 0) is not None] or list(self.rows)
        rows = tuple(telling[:most])
        columns = tuple(column for column in self.columns if any(row.get(column.key) is not None for row in rows))
        return Table(self.name, self.title, columns, rows, len(self.rows) - len(rows), len(self.rows) - len(telling))

    @property
    def left_out(self) -> str:
        """How many rows a page shows of how many, and why not the others; where they stand is for the page to say."""
        shown, first = (
            f"{len(self.rows):,} of {len(self.rows) + self.hidden:,} rows",
            "" if self.hidden == self.untold else ", the first ones",
        )
        return f"{shown}{first}" + (f"; of {plural(self.untold, 'other')} too few calls were made for a median" if self.untold else "")


def _columns(*words: str) -> tuple[Column, ...]:
    """Columns from `key|label|kind`."""
    return tuple(Column(*word.split("|")) for word in words)


RATES = _columns(
    "instance|instance", "call|call", "recommended|recommended, calls/s|rate", "rate|best estimate, calls/s|rate_interval",
    "in_flight|in flight|count",
    "burst|burst from rest|count", "bound_by|bound by", "job_calls|for a job of|count", "odds|odds of a refusal|share",
    "confirmed|confirmed by load", "n|n|count",
)  # fmt: skip
BUCKETS = _columns(
    "instance|instance", "call|call", "regime|regime", "high_water_mark|mark, units|interval",
    "outflow_per_s|leak, units/s|interval",
    "up_front_cost|reservation, units|interval", "cost|cost of a call, units|interval",
    "server_time_s|server time|seconds_interval",
)  # fmt: skip
LATENCY = _columns(
    "instance|instance", "call|call", "n|n|count", "p50_interval|median|seconds_interval",
    "p95_interval|95th percentile|seconds_interval",
    "p99_interval|99th|seconds_interval", "failed|failed|count", "refused|refused|count", "scenario|asked for",
    "source|observations|source",
)  # fmt: skip
COMPARISONS = _columns(
    "a|instance",
    "b|against",
    "call|call",
    "ratio_of_medians|ratio of medians|interval",
    "differs|differs|truth",
    "n|pairs|count",
)
PHASES = _columns(
    "instance|instance", "connection|connection", "n|n|count", "pool_s|own wait|seconds", "connect_s|connect|seconds",
    "tls_s|TLS|seconds",
    "send_s|send|seconds", "wait_s|first byte|seconds", "receive_s|receive|seconds", "source|observations|source",
)  # fmt: skip
PAGINATION = _columns(
    "instance|instance", "call|list", "default_per_page|default size|count", "max_per_page|greatest size|count",
    "style|pages by", "has_last|rel=last|truth",
    "total|items in all|count", "n|n|count", "source|observations|source",
)  # fmt: skip
PAGE_SIZES = _columns(
    "instance|instance", "call|list", "items|items on a page|count", "page_s|a page|seconds", "item_s|an item|seconds",
    "whole_s|the whole list|seconds",
    "pages|pages|count", "n|n|count",
)  # fmt: skip
QUEUES = _columns(
    "instance|instance", "waiting|waiting|count", "running|running|count", "oldest_wait_s|oldest waits|seconds",
    "median_wait_s|waited, median|seconds", "max_wait_s|longest|seconds", "median_run_s|ran, median|seconds", "n|n|count",
    "source|observations|source",
)  # fmt: skip
LOADS = _columns(
    "instance|instance", "asked_per_s|asked, /s|rate", "offered_per_s|offered, /s|rate",
    "achieved_per_s|achieved, /s|rate", "requests|requests|count",
    "refused|refused|count", "late_share|late|share", "p50|median|seconds", "p95|95th|seconds", "p99|99th|seconds",
    "stopped_by|stopped by",
)  # fmt: skip
PLANS = _columns(
    "calls|calls|count", "name|strategy", "seconds|takes|seconds", "refusal_odds|odds of a refusal|share", "setting|setting",
    "recommended|recommended|truth",
)  # fmt: skip
CAUSES = _columns("instance|instance", "kind|cause", "confidence|confidence|share", "says|what was seen", "advice|what to do")
OUTCOMES = _columns("instance|instance", "outcome|outcome", "count|requests|count", "share|share|share")
FINDINGS = _columns("severity|severity", "instance|instance", "kind|kind", "says|finding", "evidence|evidence", "advice|advice")


def tables(document: dict[str, Any]) -> dict[str, Table]:
    """Every table of the document that has rows, by name, in the order of the report."""
    made = (
        Table("findings", "Findings", FINDINGS, tuple({**one, "evidence": "; ".join(one["evidence"])} for one in document["findings"])),
        Table("rates", "Safe rates", RATES, tuple(_rate(one) for one in document["rates"] if isinstance(one.get("safe"), dict))),
        Table("buckets", "What throttles", BUCKETS, tuple(_bucket(one) for one in document["rates"])),
        Table("latency", "Latency", LATENCY, tuple(sorted(document["latency"], key=lambda row: (row["p50_s"] is None, -row["n"])))),
        Table("comparisons", "Comparisons", COMPARISONS, tuple(_comparison(one) for one in document["comparisons"])),
        Table("phases", "Phases, medians", PHASES, tuple(document["phases"])),
        Table("pagination", "Lists", PAGINATION, tuple(document["pagination"])),
        Table("page_sizes", "Page sizes", PAGE_SIZES, tuple(_sizes(document["pagination"]))),
        Table("queues", "Import queues", QUEUES, tuple(document["queues"])),
        Table("loads", "Loads", LOADS, tuple(_load(one, document) for one in document["loads"])),
        Table("plans", "Plans", PLANS, tuple(_strategies(document["plans"]))),
        Table("causes", "Causes", CAUSES, tuple(_causes(document["diagnosis"]))),
        Table("outcomes", "How the requests ended", OUTCOMES, tuple(_outcomes(document["outcomes"]))),
    )
    return {table.name: table for table in made if table.rows}


def _rate(one: Row) -> Row:
    safe, rate = one["safe"], facts.number(one["safe"].get("rate_per_s"))
    return {
        **one,
        **safe,
        "rate": rate,
        "recommended": rate["low"] if rate and not contradicted(one) else None,
        "n": rate["n"] if rate else None,
        "confirmed": _confirmed(one),
    }


def _confirmed(one: Row) -> str | None:
    found = one.get("confirmed")
    if not isinstance(found, dict):
        return None
    word = "contradicted" if found.get("contradicted") else "no, stopped early" if found.get("ended_early") else "yes"
    rate = found.get("rate_per_s")
    at = f" at {rounded_down(rate)}/s" if isinstance(rate, int | float) else ""
    sent = found["at_rate"] if isinstance(found.get("at_rate"), dict) else found
    said = f"{word}: {sent.get('refused')} of {sent.get('calls')} refused{at}"
    half = found.get("by_workers")
    return f"{said}, {half.get('refused')} of {half.get('calls')} by workers" if isinstance(half, dict) else said


def _bucket(one: Row) -> Row:
    bucket = one.get("bucket") if isinstance(one.get("bucket"), dict) else {}
    return {**one, **(bucket or {})}


def _comparison(one: Row) -> Row:
    ratio = facts.number(one.get("ratio_of_medians"))
    return {**one, "ratio_of_medians": ratio, "n": ratio["n"] if ratio else None}


def _sizes(rows: Iterable[Row]) -> Iterable[Row]:
    return ({"instance": row["instance"], "call": row["call"], **size} for row in rows for size in row["sizes"])


def _load(one: Row, document: dict[str, Any]) -> Row:
    names = [str(each["name"]) for each in document["instances"]]
    latency = one.get("latency_s") if isinstance(one.get("latency_s"), dict) else {}
    return {"instance": names[0] if len(names) == 1 else None, **one, **(latency or {})}


def _strategies(plans: Sequence[Row]) -> Iterable[Row]:
    for plan in plans:
        for one in plan["strategies"] if isinstance(plan.get("strategies"), list) else ():
            if isinstance(one, dict):
                setting = (
                    f"{rounded_down(one['rate_per_s'])} calls/s"
                    if one.get("rate_per_s")
                    else f"{one['in_flight']} in flight"
                    if one.get("in_flight")
                    else None
                )
                yield {"calls": plan.get("calls"), **one, "setting": setting, "recommended": one.get("name") == plan.get("recommended")}


def _causes(diagnosis: Sequence[Row]) -> Iterable[Row]:
    return (
        {"instance": one["instance"], **cause}
        for one in diagnosis
        if isinstance(one["causes"], list)
        for cause in one["causes"]
        if isinstance(cause, dict)
    )


def _outcomes(outcomes: dict[str, dict[str, int]]) -> Iterable[Row]:
    for instance, counts in outcomes.items():
        for outcome, count in counts.items():
            yield {"instance": instance, "outcome": outcome.replace("_", " "), "count": count, "share": count / sum(counts.values())}


def cell(value: Any, kind: str) -> str:
    """A value as people read it; a dash where there is none."""
    if value is None or (kind.endswith("interval") and facts.number(value) is None):
        return NONE
    if kind == "truth":
        return "yes" if value else "no"
    if kind == "source":
        return _source(value)
    if kind.endswith("interval"):
        told = seconds if kind == "seconds_interval" else _number
        low = rounded_down if kind == "rate_interval" else told
        return f"{told(value['value'])} ({low(value['low'])}{TO}{told(value['high'])})"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return {
        "count": f"{value:,.0f}",
        "number": _number(value),
        "rate": rounded_down(value),
        "seconds": seconds(value),
        "share": _share(value),
    }.get(kind, f"{value:g}")


def plain(value: Any, kind: str) -> Any:
    """A value to sort by and to compute with; None where there is none."""
    if kind.endswith("interval"):
        found = facts.number(value)
        return found["value"] if found else None
    return _source(value) if kind == "source" and value else value


def _source(value: Any) -> str:
    lines = value.get("lines") if isinstance(value, dict) else None
    return f"{value['n']:,} of lines {lines[0]}{TO}{lines[1]}" if lines else NONE


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _share(value: float) -> str:
    if 0.0 < value < 0.0005:
        return "below 0.1 %"
    return f"{100 * value:.3g} %"


def flat(table: Table) -> list[Row]:
    """Rows for a spreadsheet: an interval becomes three columns (value, low, high), a source its lines; a unit stands in the name."""
    return [_flat_row(table, row) for row in table.rows]


def _flat_row(table: Table, row: Row) -> Row:
    found: Row = {}
    for column in table.columns:
        value = row.get(column.key)
        if column.kind.endswith("interval"):
            number = facts.number(value) or {}
            name = _named(column)
            found.update({name: number.get("value"), f"{name}_low": number.get("low"), f"{name}_high": number.get("high")})
        elif column.kind == "source":
            lines = (value or {}).get("lines") or (None, None)
            found.update(first_line=lines[0], last_line=lines[1])
        else:
            found[_named(column)] = value
    return found


def _named(column: Column) -> str:
    """The column's name in a file: `_s` seconds, `_per_s` per second."""
    name, kind = column.key.removesuffix("_interval"), column.kind.removesuffix("_interval")
    unit = {"seconds": "_s", "rate": "_per_s"}.get(kind, "")
    return name if name == kind == "seconds" else name.removesuffix(unit) + unit
