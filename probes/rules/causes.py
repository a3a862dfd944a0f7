"""Causes that a diagnosis named, as findings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from probes.rules.base import Finding, Severity, View
from probes.wording import percent, quoted, seconds

ERRORS = frozenset({"network", "dns", "tls", "edge", "maintenance", "credentials", "no_user_agent", "wrong_url"})
"""Causes that stop a job altogether; the others make it slow or fail at times."""


FAILED = "Times, errors and request ids stand in observations.jsonl: give them to whoever runs the instance."
"""Advice where calls failed for no cause of the list."""


def judge(view: View) -> Iterator[Finding]:
    """One finding a cause; one for each instance that was diagnosed and has none."""
    for entry in view.causes:
        name = str(entry["instance"])
        for cause in entry.get("causes") or ():
            severity = Severity.ERROR if cause["kind"] in ERRORS else Severity.WARNING
            says = f"{cause['says']} (cause {cause['kind']}, confidence {percent(cause['confidence'])})"
            yield Finding("cause", severity, name, says, tuple(cause.get("evidence") or ()), str(cause.get("advice", "")))
        if not entry.get("causes"):
            yield _no_cause(name, entry)


def _no_cause(name: str, entry: Mapping[str, Any]) -> Finding:
    """Nothing is wrong only where the job's calls were answered and all was tried that the job would do."""
    bad, untold = failures(entry), " ".join(entry.get("remarks") or ())
    again = f"When it happens again: probes diagnose -i {quoted(name)} --call '...' with the very call."
    if bad:
        says = f"No cause was found at {name}, though {bad}."
        return Finding("no_cause", Severity.WARNING, name, says, (untold,) if untold else (), FAILED)
    seen = f"{entry.get('n', 'the')} observations"
    says = f"Nothing slows or stops such a job at {name} by {seen}{within(entry)}."
    says = f"No cause was found at {name} by {seen}. {untold}" if untold else says
    return Finding("no_cause", Severity.INFO, name, says, (), again)


def within(entry: Mapping[str, Any]) -> str:
    """In how long a diagnosis saw what it saw, where the entry tells it: ` in 3.4 s`."""
    return f" in {seconds(entry['span_s'])}" if entry.get("span_s") else ""


def failures(entry: Mapping[str, Any]) -> str:
    """How many requests of a diagnosis were not answered as asked, and how they ended; empty where all were."""
    bad = entry.get("failed") or {}
    told = ", ".join(f"{outcome} {count}" for outcome, count in bad.items())
    return f"{sum(bad.values())} of {entry.get('n', 'the')} requests failed ({told})" if bad else ""
