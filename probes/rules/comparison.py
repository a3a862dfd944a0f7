"""One instance against another."""

from __future__ import annotations

from collections.abc import Iterator

from probes.calls import asked_by
from probes.rules.base import Document, Finding, Severity, View
from probes.rules.latency import QUEUE_SHARE
from probes.wording import percent, quoted

MUCH = 1.5
"""A ratio of medians beyond which a job notices the difference, and it warns."""


def judge(view: View) -> Iterator[Finding]:
    """Of each pair and call: whether they differ, then what limits the comparison, then signs of scarce capacity."""
    for pair in view.comparisons:
        yield _verdict(pair)
        for flag in pair.get("flags") or ():
            yield Finding("compare_with_care", Severity.INFO, str(pair["a"]), str(flag), (), "Bear it in mind when you read the ratio.")
        yield from _capacity(pair)


def _verdict(pair: Document) -> Finding:
    ratio, a, b = pair.get("ratio_of_medians"), str(pair["a"]), str(pair["b"])
    if not ratio:
        return Finding(
            "not_comparable",
            Severity.WARNING,
            a,
            str(pair["says"]),
            (),
            f"See whether both answer: probes run reach -i {quoted(a)} -i {quoted(b)}",
        )
    tails = pair.get("tails_s")
    if tails:
        heavier = a if tails["a"] > tails["b"] else b
        ask = f"probes diagnose -i {quoted(heavier)} {asked_by(str(pair['call']))}"
        advice = f"Set timeouts by the tail, not by the median; see what slows those calls: {ask}"
        return Finding("differs", Severity.WARNING, heavier, str(pair["says"]), _shifts(pair), advice)
    if not pair.get("differs"):
        return Finding("no_difference", Severity.INFO, a, str(pair["says"]), _shifts(pair))
    slower = a if ratio["value"] > 1.0 else b
    much = max(ratio["value"], 1.0 / ratio["value"]) > MUCH
    advice = f"Rates found on {slower} are not those of the other; measure each: probes rate -i {quoted(slower)}"
    return Finding("differs", Severity.WARNING if much else Severity.INFO, slower, str(pair["says"]), _shifts(pair), advice)


def _shifts(pair: Document) -> tuple[str, ...]:
    lines = []
    for shift in pair.get("shift") or ():
        told = shift["seconds"]
        ends = f"{told['low'] * 1000:+.0f} to {told['high'] * 1000:+.0f} ms, n = {told['n']}"
        lines.append(f"quantile {shift['q']:g}: {pair['a']} minus {pair['b']} {told['value'] * 1000:+.0f} ms ({ends})")
    return tuple(lines)


def _capacity(pair: Document) -> Iterator[Finding]:
    shares = pair.get("queue_share") or {}
    for side in ("a", "b"):
        share = shares.get(side)
        if isinstance(share, int | float) and share > QUEUE_SHARE:
            says = (
                f"Calls one at a time to {pair[side]} spend {percent(share)} of their time in its own queue: it is short of backend slots."
            )
            yield Finding(
                "capacity_sign", Severity.WARNING, str(pair[side]), says, (), f"Confirm it: probes diagnose -i {quoted(str(pair[side]))}"
            )
