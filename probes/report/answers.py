"""The first screen in words: one line for each instance, what to do next, what a reader must know of the run itself."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from probes.buckets import contradicted
from probes.calls import asked_by
from probes.report import facts
from probes.report.aggregate import LOADS, Aggregate
from probes.wording import plural, quoted, rounded_down, seconds


def answers(document: dict[str, Any]) -> list[dict[str, Any]]:
    """For each instance `{"instance", "kind", "says", "rate_per_s", "in_flight", "bound_by", "p50_s", "n"}`; `says` is one line."""
    return [_answer(document, str(one["name"]), one.get("kind")) for one in document["instances"]]


def _answer(document: dict[str, Any], name: str, kind: Any) -> dict[str, Any]:
    rate, said = tightest(document, name), _contradicted(document, name)
    safe = rate["safe"] if rate and said is None else None
    row = _latency(document, name, rate["call"] if rate else None)
    parts = [_rate_words(safe, document, name) if safe else _contradicted_words(said) if said else _no_rate_words(document, name)]
    if not safe and said is None and row and row["p50_s"] is not None:
        parts[0] += f", median {seconds(row['p50_s'])}"
    slower = _slower(document, name, row["call"] if row else None)
    return {
        "instance": name,
        "kind": kind,
        "says": f"{name}: " + "; ".join([*parts, *([slower] if slower else [])]),
        "rate_per_s": None if not safe else (facts.number(safe.get("rate_per_s")) or {}).get("low"),
        "in_flight": None if not safe else safe.get("in_flight"),
        "bound_by": None if not safe else safe.get("bound_by"),
        "slower": slower,
        "call": rate["call"] if rate else (row["call"] if row else None),
        "p50_s": row["p50_s"] if row else None,
        "n": sum(document["outcomes"].get(name, {}).values()),
    }


def _contradicted(document: dict[str, Any], name: str) -> str | None:
    """What contradicted an answer for that instance; None where nothing did."""
    return next((said for one in document["rates"] if one["instance"] == name and (said := contradicted(one))), None)


def _contradicted_words(said: str) -> str:
    return f"no rate is safe by this run: {said} where none was to be"


def tightest(document: dict[str, Any], name: str) -> dict[str, Any] | None:
    """The rate entry of that instance for its calls as one job, else the one with the lowest recommended rate; None where there is none."""
    mine = [one for one in document["rates"] if one["instance"] == name and isinstance(one.get("safe"), dict)]
    mine = [one for one in mine if one.get("mix")] or mine
    return min(mine, key=lambda one: (facts.number(one["safe"].get("rate_per_s")) or {"low": math.inf})["low"], default=None)


def title(document: dict[str, Any]) -> str:
    """The report's title: which instances."""
    names = [str(one["name"]) for one in document["instances"]]
    if not names:
        return "A run without instances"
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def about(document: dict[str, Any]) -> list[str]:
    """When, what for, how much was sent: the line below the title."""
    spent = document["spent"]
    when = f"{document['started_at'][:16].replace('T', ' ')} UTC" if document["started_at"] else "start unknown"
    words = [f"probes {' '.join(document['command'])}"] if document["command"] else []
    requests = f"{plural(document['observations'], 'request')}, {int(spent.get('refused') or 0):,} refused"
    return [when, *words, requests, *([f"{seconds(document['seconds'])} long"] if document["seconds"] else []), document["tool"]]


def _rate_words(safe: dict[str, Any], document: dict[str, Any], name: str) -> str:
    rate = facts.number(safe.get("rate_per_s"))
    parts = [f"{rounded_down(rate['low'])} calls/s" if rate else "as fast as you like from rest"]
    in_flight, bound = safe.get("in_flight"), safe.get("bound_by")
    if isinstance(in_flight, int):
        parts.append(f"{in_flight} in flight" if in_flight else "no worker without a pause")
    if bound:
        parts.append(f"bound by {bound}")
    mine = [one for one in document["rates"] if one["instance"] == name and one.get("safe")]
    mixes = [one for one in mine if one.get("mix")]
    if mixes:
        parts.append(f"for {len(mixes[0]['mix'])} calls by their weights")
    elif len(mine) > 1:
        parts.append(f"the tightest of {len(mine)} calls")
    return ", ".join(parts)


def _no_rate_words(document: dict[str, Any], name: str) -> str:
    outcomes = document["outcomes"].get(name, {})
    total, ok = sum(outcomes.values()), outcomes.get("ok", 0)
    regime = next((one["regime"] for one in document["rates"] if one["instance"] == name and one.get("regime")), None)
    if not total:
        return "was not asked"
    if not ok:
        worst = next(iter(outcomes))
        return f"none of {plural(total, 'call')} was answered as asked ({worst.replace('_', ' ')} {outcomes[worst]:,})"
    words = {
        "unthrottled": "no sign of a limit up to the ceilings",
        "not_enforced": "its limit is counted, not enforced",
        "blocked": "every call of this token is refused",
    }
    says = words.get(str(regime), "it counts calls in a window" if _counts(document, name) else "safe rate not measured")
    return f"{says}, {ok:,} of {plural(total, 'call')} answered as asked"


def _counts(document: dict[str, Any], name: str) -> bool:
    """Whether the instance counts calls in a window: there is no bucket to measure, to confirm or to plan by."""
    return any(one["instance"] == name and one.get("window") for one in document["rates"])


def _latency(document: dict[str, Any], name: str, call: str | None) -> dict[str, Any] | None:
    """The latency row of `call`, else of the call with most observations."""
    mine = [row for row in document["latency"] if row["instance"] == name and row["p50_s"] is not None]
    return next((row for row in mine if row["call"] == call), max(mine, key=lambda row: row["n"], default=None))


def _slower(document: dict[str, Any], name: str, call: str | None) -> str | None:
    """How much slower than the fastest instance it is slower than; by comparison in blocks where there is one, else by intervals apart."""
    found = _compared(document, name) or _medians_apart(document, name, call)
    if not found:
        return None
    ratio, other = max(found)
    return f"{ratio:.1f} times slower than {other}" if ratio >= 1.05 else None


def _compared(document: dict[str, Any], name: str) -> list[tuple[float, str]]:
    found = []
    for pair in document["comparisons"]:
        ratio = facts.number(pair.get("ratio_of_medians"))
        if ratio and pair.get("differs") and name in (pair["a"], pair["b"]) and ratio["value"] > 0:
            times = ratio["value"] if pair["a"] == name else 1.0 / ratio["value"]
            if times > 1.0:
                found.append((times, pair["b"] if pair["a"] == name else pair["a"]))
    return found


def _medians_apart(document: dict[str, Any], name: str, call: str | None) -> list[tuple[float, str]]:
    compared = {frozenset((pair["a"], pair["b"])) for pair in document["comparisons"]}
    rows = {row["instance"]: row for row in document["latency"] if row["call"] == call and row["p50_interval"]}
    mine = rows.get(name)
    if mine is None:
        return []
    return [
        (mine["p50_s"] / row["p50_s"], other)
        for other, row in rows.items()
        if frozenset((name, other)) not in compared and row["p50_s"] and row["p50_interval"]["high"] < mine["p50_interval"]["low"]
    ]


def next_steps(document: dict[str, Any]) -> list[dict[str, str]]:
    """`{"says", "command"}` of what is worth doing now, the most useful first."""
    if document["command"][:1] == ["demo"]:
        return _after_a_demo(document)
    run, steps = quoted(document["run"]), []
    names = [str(one["name"]) for one in document["instances"]]
    for name in names:
        outcomes = document["outcomes"].get(name, {})
        bad = sum(count for outcome, count in outcomes.items() if outcome not in ("ok", "throttled", "cancelled"))
        if bad > 0.05 * sum(outcomes.values()) and not any(one["instance"] == name for one in document["diagnosis"]):
            steps.append(
                (f"Find out why {bad:,} of {sum(outcomes.values()):,} calls to {name} failed.", f"probes diagnose -i {quoted(name)}")
            )
    for name in names:
        steps += _rate_step(document, name)
    safe = [one["instance"] for one in document["rates"] if _can_be_planned(one) and _contradicted(document, one["instance"]) is None]
    if safe and not document["plans"]:
        which = f" -i {quoted(safe[-1])}" if len(names) > 1 else ""
        steps.append(("Plan your own job: its time and its odds of a refusal.", f"probes plan {run}{which} --calls 12000"))
    if len(names) > 1 and not document["comparisons"]:
        both = " ".join(f"-i {quoted(name)}" for name in names[:4])
        steps.append(("Compare them in interleaved blocks: differences of separate runs may be chance.", f"probes compare {both}"))
    steps.append(("See whether anything changed since earlier runs.", f"probes history {quoted(Path(document['run']).parent.as_posix())}"))
    return [{"says": says, "command": command} for says, command in steps]


def _after_a_demo(document: dict[str, Any]) -> list[dict[str, str]]:
    """The instances of a demo are gone: what can be done without them, by the run or against one's own Canvas."""
    steps = [
        (
            "The instances of this demo are gone. Name your own Canvas by CANVAS_API_URL and CANVAS_API_TOKEN, then see how it answers.",
            "probes run reach latency pagination -i default",
        ),
        ("Find how fast a job of yours may go there.", "probes rate -i default --call 'GET /api/v1/users/self' --job 1000"),
    ]
    safe = [str(one["instance"]) for one in document["rates"] if _can_be_planned(one) and not _contradicted(document, one["instance"])]
    if safe:
        planned = f"probes plan {quoted(document['run'])} -i {quoted(safe[-1])} --calls 12000"
        steps.append((f"Plan a job by what this run found of {safe[-1]}: its time and its odds of a refusal.", planned))
    return [{"says": says, "command": command} for says, command in steps]


def _can_be_planned(rate: dict[str, Any]) -> bool:
    """Whether the entry holds a bucket, or what stands for one, that a job can be planned by."""
    bucket = rate.get("bucket")
    whole = not isinstance(bucket, dict) or all(facts.number(bucket.get(name)) for name in ("high_water_mark", "up_front_cost"))
    return bool(rate.get("safe")) and not rate.get("window") and rate.get("regime") != "unthrottled" and whole


def _rate_step(document: dict[str, Any], name: str) -> list[tuple[str, str]]:
    rate = tightest(document, name)
    if _counts(document, name):
        return []
    if rate is None:
        answered = document["outcomes"].get(name, {}).get("ok", 0)
        return [(f"Measure the safe rate of {name}.", f"probes rate -i {quoted(name)}")] if answered else []
    if (said := _contradicted(document, name)) is not None:
        says = f"Measure {name} again, as {said}: was another job on the token, or did the limit change?"
        return [(says, f"probes rate -i {quoted(name)} --confirm")]
    confirmed = rate.get("confirmed")
    if confirmed and not confirmed.get("ended_early"):
        return []
    asked = asked_by(str(rate["call"]), "--calls-file FILE")
    return [(f"Confirm the rate of {name} by a short load at it.", f"probes rate -i {quoted(name)} {asked} --confirm")]


def notes(document: dict[str, Any], aggregate: Aggregate, *, judged: bool = True) -> list[str]:
    """What a reader must know of the run itself: how it ended, what is missing."""
    found = []
    ended = document["ended"]
    if ended is None:
        found.append("The run did not end by itself (it was killed, or it is still going on): this is what it had measured by then.")
    elif ended != "done":
        found.append(f"The run did not end as planned: {str(ended).rstrip('.')}.")
    if not document["started_at"]:
        found.append("The manifest cannot be read: times are seconds since the run's start, whenever that was.")
    if not len(aggregate):
        found.append("There is no observation: nothing was asked, or nothing was written.")
    if aggregate.cut:
        found.append("The last line is cut short and does not count.")
    if aggregate.broken:
        found.append(
            f"{plural(len(aggregate.broken), 'line')} held no observation and did not count (the first is line {aggregate.broken[0]})."
        )
    if not judged:
        found.append("Something in this run has a shape that the rules do not know: only the findings made while measuring are told.")
    for scenario, count in aggregate.left_out.items():
        tail = "; the load's own document tells of it" if scenario in LOADS and document["loads"] else ""
        found.append(f"{count:,} observations of {scenario} are in the numbers and pictures, but were not looked at for findings{tail}.")
    return found
