"""Background jobs that were followed by their Progress."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from probes.observation import Observation
from probes.rules.base import Finding, Severity
from probes.wording import plural, seconds

ENDINGS = {"completed": "is completed", "failed": "failed", "canceled": "was canceled"}
BEGUN = frozenset({"running", "waiting_for_external_tool", "completed", "failed"})
"""States of a job that has been at work; one that was canceled may never have been."""
NO_START = "A Progress has no start time: only polling from its creation on tells wait from work."


def judge(name: str, seen: Sequence[Observation]) -> Iterator[Finding]:
    """Of each job: its state, the server's word on it, how long it waited; or that it cannot be read."""
    for number in dict.fromkeys(o.facts["progress"] for o in seen if o.facts.get("progress") is not None):
        polls = [o for o in seen if o.facts.get("progress") == number]
        yield _told(name, number, polls) if polls[-1].ok else _unreadable(name, number, polls[-1])


def _told(name: str, number: object, polls: Sequence[Observation]) -> Finding:
    last = polls[-1].facts
    state = str(last.get("state"))
    message = f": {str(last['message']).rstrip('.')}" if last.get("message") else ""
    done = "" if state == "completed" else f" at {last.get('completion', 0)} %"
    says = f"Background job {number} of {name} {ENDINGS.get(state, f'is {state}')}{done}{message}; {_waited(polls)}"
    severity = Severity.WARNING if state in ("failed", "queued", "canceled") else Severity.INFO
    return Finding("progress", severity, name, f"{says}; n = {plural(len(polls), 'poll')}.", (), _advice(last))


def _advice(last: Mapping[str, Any]) -> str:
    return "Quote the error's ID to the vendor's support." if "ID:" in str(last.get("message")) else NO_START


def _waited(polls: Sequence[Observation]) -> str:
    ages = [float(o.facts["age_s"]) for o in polls if o.facts.get("state") == "queued" and o.facts.get("age_s") is not None]
    if ages:
        return f"it was queued for at least {seconds(max(ages))}"
    most = polls[-1].facts.get("at_most_s")
    if most is not None and polls[0].facts.get("state") in BEGUN:
        return f"it was done or at work at the first look, so it waited {seconds(most)} at most"
    return "how long it waited is not known"


def _unreadable(name: str, number: object, last: Observation) -> Finding:
    reason = f": {str(last.facts['reason']).rstrip('.')}" if last.facts.get("reason") else ""
    says = f"Background job {number} of {name} cannot be read ({last.status}, {last.outcome.value}){reason}."
    return Finding("progress", Severity.WARNING, name, says, (), "Check its id, and that it was started at this instance.")
