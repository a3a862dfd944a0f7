"""How long background jobs wait, and who waits behind whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from probes.observation import Observation, Outcome
from probes.rules import progress
from probes.rules.base import Finding, Severity, View
from probes.rules.waiting import LONG_WAIT_S, Queue, Standing
from probes.stats import median, quantile
from probes.wording import plural, quoted, seconds
from probes.words import IMPORT_FAILED, IMPORT_UNWELL

NOTHING_TO_JUDGE_BY = "no past import to judge by"
PATH = "/api/v1/accounts/self/sis_imports"
A_QUEUE = "It is a queue, not a hang: 0 % means not started yet. Do not send it again."


def judge(view: View) -> Iterator[Finding]:
    """Of each instance: past waits and endings, the queue now with the wait to expect, the import asked about, every Progress followed."""
    for name, seen in view.each("queue"):
        looks = [o for o in seen if "waits_s" in o.facts and o.ok]
        if looks:
            yield from _imports(name, looks[-1].facts)
        elif seen and seen[0].status is not None:
            yield _unreadable(name, seen[0])
        yield from _mine(name, seen)
        yield from progress.judge(name, seen)


def _imports(name: str, facts: Mapping[str, Any]) -> Iterator[Finding]:
    """From the last look, which knows all that the earlier ones saw."""
    queue = Queue.of(facts)
    yield _past(name, int(facts["imports"]), queue)
    yield from _unwell(name, facts)
    yield from _stuck(name, queue)
    yield _now(name, queue, bool(facts.get("more"))) if queue.all else _empty(name, queue)


def _past(name: str, imports: int, queue: Queue) -> Finding:
    waits = queue.waits_s
    if not waits:
        says = f"{name} shows {plural(imports, 'SIS import')}, none with a start time." if imports else f"{name} has had no SIS import yet."
        return Finding("no_imports", Severity.INFO, name, says)
    middle = quantile(waits, 0.5)
    ends = f" ({seconds(middle.low)} to {seconds(middle.high)})" if middle else ""
    ran = f", then ran for {seconds(median(queue.runs_s))}" if queue.runs_s else ""
    says = (
        f"SIS imports of {name} waited {seconds(median(waits))} in the median{ends}{ran}; the "
        f"longest wait was {seconds(max(waits))}; n = {len(waits)}."
    )
    severe = Severity.WARNING if median(waits) > LONG_WAIT_S else Severity.INFO
    advice = "Imports of one account run one after another: join small ones into one, and send it when nothing else is queued."
    return Finding("queue_wait", severe, name, says, (), advice)


def _unwell(name: str, facts: Mapping[str, Any]) -> Iterator[Finding]:
    """A warning where the last import that ended failed: an older failure may long be mended."""
    ended, unwell = facts.get("ended") or {}, facts.get("unwell") or []
    if unwell:
        told = ", ".join(f"{count} {state}" for state, count in ended.items() if state in IMPORT_UNWELL)
        number, state = unwell[0]
        says = (
            f"Of {plural(sum(ended.values()), 'past SIS import')} of {name} not all ended well: {told}; "
            f"the last {'import that ended' if number == facts.get('last_ended') else 'of these'} is {number}, {state}."
        )
        severity = Severity.WARNING if number == facts.get("last_ended") and state in IMPORT_FAILED else Severity.INFO
        evidence = tuple(f"import {one}: {state}" for one, state in unwell)
        advice = f"Read its processing_errors and processing_warnings: GET /api/v1/accounts/self/sis_imports/{number}"
        yield Finding("import_failed", severity, name, says, evidence, advice)


def _stuck(name: str, queue: Queue) -> Iterator[Finding]:
    """At most one of them: nothing is passed over while an import is at work."""
    late, left = queue.hanging(), queue.passed_over()
    if late is not None:
        runs = queue.runs_s
        usual = (
            f"the longest of {plural(len(runs), 'past run')} took {seconds(max(runs))}" if runs else "no past run tells how long they take"
        )
        behind = plural(len(queue.waiting), "import waits", "imports wait")
        says = f"Import {late.number} of {name} seems to hang: {late.told}; {usual}. {behind} behind it."
        advice = (
            f"Look in ten minutes whether its per cent move; if not, ask the vendor about import {late.number}, "
            f"or abort it: PUT /api/v1/accounts/self/sis_imports/{late.number}/abort"
        )
        yield Finding("import_stuck", Severity.ERROR, name, says, (), advice)
    if left is not None:
        waits = queue.waits_s
        usual = f"the longest of {plural(len(waits), 'past wait')} was {seconds(max(waits))}" if waits else NOTHING_TO_JUDGE_BY
        says = f"Import {left.number} of {name} has waited {seconds(left.age_s or 0.0)}, and nothing is at work that it waits for; {usual}."
        advice = "Ask the vendor whether job processing stands still, or whether imports of this account are skipped."
        yield Finding("import_stuck", Severity.ERROR, name, says, (), advice)


def _now(name: str, queue: Queue, more: bool) -> Finding:
    waiting = f"{'at least ' if more else ''}{len(queue.waiting)} waiting"
    says = f"The import queue of {name} now: {waiting}, {len(queue.at_work)} running; {_ahead(queue, queue.all, 'a new one', more)}."
    severity = Severity.WARNING if queue.waiting else Severity.INFO
    return Finding("backlog", severity, name, says, tuple(one.line for one in queue.all[:8]), _patience(queue))


def _patience(queue: Queue) -> str:
    if queue.hanging() is not None or queue.passed_over() is not None:
        return "Do not send it again: it would stand behind those that wait."
    return A_QUEUE if queue.at_work else "Nothing is at work yet: look again in a quarter of an hour. Do not send it again."


def _ahead(queue: Queue, before: Sequence[Standing], who: str, more: bool = False) -> str:
    """How long `who` waits for those before it."""
    wait_s, hanging, overdue = queue.wait_s(before), queue.hanging(), queue.overdue(before)
    if hanging is not None:
        return f"how long {who} waits is not known, as import {hanging.number} seems to hang"
    if queue.passed_over() is not None:
        return f"how long {who} waits is not known, as nothing is at work"
    if wait_s is None:
        return f"how long {who} waits is not known: {NOTHING_TO_JUDGE_BY}"
    by = f"by {plural(len(queue.runs_s), 'past run')}"
    if overdue is not None:
        by += f", all shorter than import {overdue.number} already is"
    return f"{who} would wait {'at least' if more or overdue else 'about'} {seconds(wait_s)} ({by})"


def _empty(name: str, queue: Queue) -> Finding:
    """Waits of imports that stood behind others say nothing of one that finds the queue empty."""
    new = "" if queue.waits_s else f"; how long a new import would wait is not known: {NOTHING_TO_JUDGE_BY}"
    if queue.alone_s:
        new = f"; {plural(len(queue.alone_s), 'past import')} that found it empty started within {seconds(max(queue.alone_s))}"
    return Finding("queue_empty", Severity.INFO, name, f"Nothing waits in the import queue of {name} now{new}.")


def _mine(name: str, seen: Sequence[Observation]) -> Iterator[Finding]:
    """The import that `--import` named."""
    asked = [o for o in seen if o.facts.get("mine") is not None]
    if not asked:
        return
    last, looks = asked[-1], [o for o in seen if "waits_s" in o.facts and o.ok]
    if not last.ok:
        says = f"Import {last.facts['mine']} of {name} cannot be read ({last.status}, {last.outcome.value})."
        yield Finding("import_place", Severity.WARNING, name, says, (), "Check its id: probes run queue lists those in the queue.")
        return
    one, look = last.facts["import"], looks[-1].facts
    yield _over(name, one) if one["ended"] else _placed(name, Standing.of(one["standing"]), Queue.of(look), bool(look.get("more")))


def _over(name: str, one: Mapping[str, Any]) -> Finding:
    standing = Standing.of(one["standing"])
    waited = f"it waited {seconds(one['wait_s'])}" if one["wait_s"] is not None else "how long it waited is not known"
    ran = f", then ran for {seconds(one['run_s'])}" if one["run_s"] is not None else ""
    severity = Severity.WARNING if standing.state in IMPORT_FAILED else Severity.INFO
    advice = f"What it met stands in GET /api/v1/accounts/self/sis_imports/{standing.number}"
    return Finding(
        "import_place", severity, name, f"Import {standing.number} of {name} is over, {standing.state}: {waited}{ran}.", (), advice
    )


def _placed(name: str, mine: Standing, queue: Queue, more: bool) -> Finding:
    place = next((n for n, one in enumerate(queue.all) if str(one.number) == str(mine.number)), None)
    if place is None:  # it began or was created between two answers
        return Finding("import_place", Severity.INFO, name, f"Import {mine.number} of {name}: {mine.told}.", (), "Ask again for its place.")
    before = queue.all[:place]
    if place < len(queue.at_work):
        says = f"Import {mine.number} of {name} is at work, {mine.told}: {_rest(queue, mine)}."
        return Finding("import_place", Severity.INFO, name, says)
    stand = plural(len(before), "import stands", "imports stand") if before else "no import stands"
    ahead = _ahead(queue, before, "it", more) if before or queue.passed_over() else "it should start soon"
    says = f"Import {mine.number} of {name} waits, {mine.told}: {'at least ' if more else ''}{stand} before it; {ahead}."
    return Finding("import_place", Severity.INFO, name, says, tuple(one.line for one in before[-8:]), _patience(queue))


def _rest(queue: Queue, one: Standing) -> str:
    left_s, runs = queue.left_s(one), plural(len(queue.runs_s), "past run")
    if left_s is not None:
        return f"about {seconds(left_s)} are left (by {runs})"
    return f"it takes longer than all of {runs}" if queue.runs_s else f"how long it takes is not known: {NOTHING_TO_JUDGE_BY}"


def _unreadable(name: str, first: Observation) -> Finding:
    reason = first.facts.get("reason")
    if reason is not None:
        says = f"The import queue of {name} cannot be read ({first.status}): {str(reason).rstrip('.')}."
        root = "SIS imports belong to the root account, where an administrator enables them."
        advice = root if first.outcome in (Outcome.FORBIDDEN, Outcome.CLIENT_ERROR) else _ask_why(name) if first.ok else ""
        return Finding("queue_unreadable", Severity.INFO, name, says, (), advice)
    if first.outcome in (Outcome.FORBIDDEN, Outcome.UNAUTHORIZED):
        says = f"The import queue of {name} is unknown: needs permission 'Import SIS data' ({first.status})."
        return Finding("queue_unreadable", Severity.INFO, name, says, (), "Use a token of an account administrator.")
    says = f"The import queue of {name} cannot be read ({first.status}, {first.outcome.value})."
    known = first.outcome in (Outcome.NOT_FOUND, Outcome.CLIENT_ERROR)
    advice = "SIS imports belong to the root account; some instances have none." if known else _ask_why(name)
    return Finding("queue_unreadable", Severity.INFO, name, says, (), advice)


def _ask_why(name: str) -> str:
    return f"Ask why: probes diagnose -i {quoted(name)} --call 'GET {PATH}'"
