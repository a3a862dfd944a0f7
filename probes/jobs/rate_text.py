"""What `probes rate` tells a person: the rate to go at first, then what it rests on, and the command that helps on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from probes.buckets import contradicted
from probes.calls import asked_by
from probes.findings import Finding
from probes.jobs import confirm as confirming
from probes.runs import Run
from probes.wording import percent, plural, quoted, rounded_down

FOUND = frozenset({"shared_token", "wrong_dialect"})
"""Signs that are findings as well, and told as such."""


def answer_text(name: str, documents: Sequence[dict[str, Any]], spent: dict[str, Any], found: Sequence[Finding], run: Run) -> str:
    """For a person: what is recommended first, that of the whole mix before its calls; then what it rests on."""
    lines = [line for document in sorted(documents, key=lambda one: "mix" not in one) for line in _told(name, document)]
    lines += [f"  {finding.says} {finding.advice}".rstrip() for finding in found if finding.severity.rank > 0]
    lines.append(f"Spent {plural(spent['requests'], 'request')}, {spent['refused']} refused, in {spent['seconds']:.0f} s.")
    return "\n".join([*lines, f"Report: {run.folder / 'report.html'}", f"Next: {_next(name, documents, run)}"])


def _next(name: str, documents: Sequence[dict[str, Any]], run: Run) -> str:
    """The command that helps on: where no limit was met there is nothing to plan by, nor where what was found was contradicted."""
    if any(contradicted(one) for one in documents):
        return f"probes rate -i {quoted(name)} --confirm"
    if any("window" in one for one in documents):
        return f"probes report {quoted(run.place)}"
    told = [one for one in documents if one["safe"]]
    failed = [str(one["call"]) for one in documents if _shown([one], "no_answer")]
    if told and failed:
        return f"probes diagnose -i {quoted(name)} {asked_by(failed[0])}"
    if any(one["regime"] != "unthrottled" and not _under_a_ceiling(one) for one in told):
        return f"probes plan {quoted(run.place)} --calls 10000"
    return f"probes report {quoted(run.place)}" if told or _shown(documents, "wrong_dialect") else f"probes diagnose -i {quoted(name)}"


def _under_a_ceiling(document: dict[str, Any]) -> bool:
    """Whether only a ceiling is known, no bucket to plan by."""
    return _shown([document], "under_ceiling")


def _shown(documents: Sequence[dict[str, Any]], kind: str) -> bool:
    return any(sign["kind"] == kind for one in documents for sign in one["signs"])


def _told(name: str, document: dict[str, Any]) -> list[str]:
    safe, call = document["safe"], document["call"]
    if safe is None:
        signs = [f"  {sign['says']}" for sign in document["signs"] if sign["kind"] not in FOUND]
        unknown = _shown([document], "wrong_dialect") or _shown([document], "no_answer")
        regime = "" if unknown else f" (regime {document['regime']})"
        return [f"{name}: {call}: no safe rate can be told{regime}.", *signs]
    rate = safe["rate_per_s"]
    noted = [f"  Note: {sign['says']}" for sign in document["signs"] if sign["kind"] not in FOUND]
    confirmed = confirming.told(document["confirmed"]) if document["confirmed"] is not None else []
    if (said := contradicted(document)) is not None:
        return [f"{name}: {call}: what was found safe is not: {said} when it was tried.", *noted, *confirmed]
    lines = []
    if rate is None:
        lines.append(f"{name}: {call}: a job of {plural(safe['job_calls'], 'call')} meets no limit at any rate up to the ceilings.")
    else:
        bound = "what a window holds" if "window" in document and safe["bound_by"] == "outflow" else safe["bound_by"]
        lines.append(f"{name}: {call}: go at {rounded_down(rate['low'])} calls/s, bound by {bound}.")
    if rate is not None and "window" not in document:
        lines.append(
            f"  Best estimate {rate['value']:.3g} [{rounded_down(rate['low'])} .. {rate['high']:.3g}], n {rate['n']}: {_odds(document)}"
        )
    lines.append(f"  {_together(safe)}")
    return lines + _told_bucket(document) + noted + confirmed


def _together(safe: dict[str, Any]) -> str:
    """The same in workers, where one may go without a pause, and at one instant."""
    burst = f"at one instant at most {plural(safe['burst'], 'call')}."
    if safe["in_flight"] < 1:
        return f"No worker may go without a pause; {burst}"
    return f"Or {plural(safe['in_flight'], 'worker')} without pause; {burst}"


def _odds(document: dict[str, Any]) -> str:
    """What stands behind a rate: where no limit was met no odds can be told."""
    if document["regime"] == "unthrottled":
        return "none was refused, no longer job was tried."
    return f"{percent(document['safe']['odds'])} odds of any refusal in a job of {plural(document['safe']['job_calls'], 'call')}."


def _told_bucket(document: dict[str, Any]) -> list[str]:
    bucket = document.get("bucket")
    if not bucket:
        return []
    words = {"high_water_mark": "mark", "up_front_cost": "reservation", "outflow_per_s": "outflow/s"}
    told = [f"{word} {'unknown' if bucket[key] is None else format(bucket[key]['value'], '.5g')}" for key, word in words.items()]
    return [f"  Bucket: {', '.join(told)}."]
