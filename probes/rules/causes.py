"""Causes that a diagnosis named, as findings."""

from __future__ import annotations

from collections.abc import Iterator

from probes.rules.base import Finding, Severity, View

ERRORS = frozenset({"network", "dns", "tls", "edge", "maintenance", "credentials", "no_user_agent", "wrong_url"})
"""Causes that stop a job altogether; the others make it slow or fail at times."""


def judge(view: View) -> Iterator[Finding]:
    """One finding a cause; one for each instance that was diagnosed and has none."""
    for entry in view.causes:
        name = str(entry["instance"])
        for cause in entry.get("causes") or ():
            severity = Severity.ERROR if cause["kind"] in ERRORS else Severity.WARNING
            says = f"{cause['says']} (cause {cause['kind']}, confidence {cause['confidence']:.0%})"
            yield Finding("cause", severity, name, says, tuple(cause.get("evidence") or ()), str(cause.get("advice", "")))
        if not entry.get("causes"):
            says = f"Nothing slows or stops such a job at {name} by {entry.get('n', 'the')} observations."
            yield Finding(
                "no_cause",
                Severity.INFO,
                name,
                says,
                (),
                f"When it happens again: probes diagnose -i {name} --call '...' with the very call.",
            )
