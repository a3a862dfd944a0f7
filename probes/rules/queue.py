"""How long background jobs wait, and who waits behind whom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from probes.observation import Observation, Outcome
from probes.rules.base import Finding, Severity, View, plural, seconds
from probes.stats import median, point, quantile

LONG_WAIT_S = 900.0


def judge(view: View) -> Iterator[Finding]:
    """Of each instance: past waits, the queue now with the wait to expect, every Progress that was followed."""
    for name, seen in view.each("queue"):
        listed = next((o for o in seen if "waits_s" in o.facts and o.ok), None)
        if listed is not None:
            yield from _past(name, listed)
            yield from _now(name, listed)
        elif seen and seen[0].status is not None:
            yield _unreadable(name, seen[0])
        yield from _progress(name, seen)


def _past(name: str, listed: Observation) -> Iterator[Finding]:
    waits, runs = list(listed.facts["waits_s"]), list(listed.facts["runs_s"])
    if not waits:
        yield Finding(
            "no_imports", Severity.INFO, name, f"{name} shows {plural(listed.facts['imports'], 'SIS import')}, none with a start time."
        )
        return
    middle = quantile(waits, 0.5)
    ends = f" ({seconds(middle.low)} to {seconds(middle.high)})" if middle else ""
    ran = f", then ran for {seconds(median(runs))}" if runs else ""
    says = (
        f"SIS imports of {name} waited {seconds(median(waits))} in the median{ends}{ran}; the "
        f"longest wait was {seconds(max(waits))}; n = {len(waits)}."
    )
    severe = Severity.WARNING if median(waits) > LONG_WAIT_S else Severity.INFO
    advice = "Imports of one account run one after another: join small ones into one, and send it when nothing else is queued."
    yield Finding("queue_wait", severe, name, says, (), advice)


def _now(name: str, listed: Observation) -> Iterator[Finding]:
    queue, waiting, running = listed.facts["queue"], listed.facts["waiting"], listed.facts["running"]
    runs = list(listed.facts["runs_s"])
    if not queue:
        yield Finding(
            "queue_empty",
            Severity.INFO,
            name,
            f"Nothing waits in the import queue of {name} now; a new import should start within {_usual(listed)}.",
        )
        return
    expected = _expected(queue, runs)
    ahead = f"a new one would wait about {seconds(expected)}" if expected is not None else "how long a new one waits cannot be told"
    evidence = tuple(_standing(one) for one in queue[:8])
    says = f"The import queue of {name} now: {waiting} waiting, {running} running; {ahead} (by {plural(len(runs), 'past run')})."
    yield Finding(
        "backlog",
        Severity.WARNING if waiting else Severity.INFO,
        name,
        says,
        evidence,
        "It is a queue, not a hang: 0 % means not started yet. Do not send it again.",
    )
    oldest = max((one[2] or 0.0 for one in queue if one[1] in ("created", "initializing")), default=0.0)
    waits = list(listed.facts["waits_s"])
    if len(waits) >= 8 and oldest > 2.0 * point(waits, 0.95) and oldest > LONG_WAIT_S:
        says = (
            f"An import of {name} has waited {seconds(oldest)}, twice as long as 95 of 100 past "
            f"ones ({seconds(point(waits, 0.95))}, n = {len(waits)})."
        )
        advice = "Ask the vendor whether job processing stands still, or whether imports of this account are skipped."
        yield Finding("import_stuck", Severity.ERROR, name, says, (), advice)


def _usual(listed: Observation) -> str:
    waits = list(listed.facts["waits_s"])
    return seconds(point(waits, 0.9)) if waits else "an unknown time"


def _expected(queue: Sequence[Sequence[object]], runs: Sequence[float]) -> float | None:
    """Seconds until a new import starts: what is left of the running ones, and a median run for each that waits."""
    if not runs:
        return None
    usual = median(runs)
    total = 0.0
    for _, state, age_s, _ in queue:
        age = age_s if isinstance(age_s, int | float) else 0.0
        total += usual if state in ("created", "initializing") else max(0.0, usual - age)
    return total


def _standing(one: Sequence[object]) -> str:
    number, state, age_s, progress = one
    age = f" for {seconds(float(age_s))}" if isinstance(age_s, int | float) else ""
    done = f", {progress} %" if progress is not None else ""
    return f"import {number}: {state}{age}{done}"


def _unreadable(name: str, first: Observation) -> Finding:
    if first.outcome in (Outcome.FORBIDDEN, Outcome.UNAUTHORIZED):
        says = f"The import queue of {name} is unknown: needs permission 'Import SIS data' ({first.status})."
        return Finding("queue_unreadable", Severity.INFO, name, says, (), "Use a token of an account administrator.")
    says = f"The import queue of {name} cannot be read ({first.status}, {first.outcome.value})."
    return Finding("queue_unreadable", Severity.INFO, name, says, (), "SIS imports belong to the root account; some instances have none.")


def _progress(name: str, seen: Sequence[Observation]) -> Iterator[Finding]:
    for number in dict.fromkeys(o.facts["progress"] for o in seen if o.facts.get("progress") is not None):
        polls = [o for o in seen if o.facts.get("progress") == number]
        last = polls[-1].facts
        told = f"{last.get('state')} at {last.get('completion', 0)} %; {_waited(polls)}; n = {plural(len(polls), 'poll')}"
        says = f"Progress {number} of {name} is {told}."
        severity = Severity.WARNING if last.get("state") in ("failed", "queued") else Severity.INFO
        yield Finding(
            "progress", severity, name, says, (), "A Progress has no start time: only polling from its creation on tells wait from work."
        )


def _waited(polls: Sequence[Observation]) -> str:
    ages = [float(o.facts["age_s"]) for o in polls if o.facts.get("state") == "queued" and o.facts.get("age_s") is not None]
    if ages:
        return f"it was queued for at least {seconds(max(ages))}"
    most = polls[-1].facts.get("at_most_s")
    if most is not None:
        return f"it was done or at work at the first look, so it waited {seconds(most)} at most"
    return "its wait cannot be told"
