"""Values that the documentation does not name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from probes.observation import Observation, Outcome
from probes.rules.base import Finding, Severity, View
from probes.wording import plural
from probes.words import VOCABULARIES, Vocabulary

PLACES = {"channel": "communication channels", "enrollment": "enrolments", "progress": "Progress objects", "import": "SIS imports"}


def judge(view: View) -> Iterator[Finding]:
    """Of each instance and field: values that are known but not documented, values unknown to both, values that lists hide."""
    for name, seen in view.each("vocabulary"):
        good = [o for o in seen if o.ok]
        counted = [(one, counts) for one in VOCABULARIES if (counts := _counts(one, good))]
        for one, counts in counted:
            yield from _field(name, one, counts)
        if not counted:
            yield from _nothing(name, good)
        yield from _unread(name, seen)


def _nothing(name: str, good: Sequence[Observation]) -> Iterator[Finding]:
    """Lists that were read and hold nothing; those that could not be read are told of by the rules of reach."""
    things = list(dict.fromkeys(str(o.facts["thing"]) for o in good if o.facts.get("thing") in PLACES))
    if things:
        *rest, last = (PLACES[thing] for thing in things)
        told = f"{', '.join(rest)} or {last}" if rest else last
        says = f"No {told} were seen at {name}, so there is no value to compare; n = {plural(len(good), 'answer')}."
        yield Finding("nothing_seen", Severity.INFO, name, says, (), "Name a course with people in it: --course ID.")


def _unread(name: str, seen: Sequence[Observation]) -> Iterator[Finding]:
    """Lists that the server does not know, or not as they were asked; what else kept one from being read the rules of reach tell."""
    for thing, place in PLACES.items():
        asked = [o for o in seen if o.facts.get("thing") == thing]
        if asked and all(o.outcome in (Outcome.CLIENT_ERROR, Outcome.NOT_FOUND) for o in asked):
            first = asked[0]
            said = f": {str(first.facts['said']).rstrip('.')}" if first.facts.get("said") else ""
            says = f"The {place} of {name} could not be read ({first.status}{said}): their values are unknown."
            yield Finding("values_unread", Severity.INFO, name, says, (first.call,), "Name a course that is there: --course ID.")


def _counts(one: Vocabulary, good: Sequence[Observation]) -> Counter[str]:
    total: Counter[str] = Counter()
    for o in good:
        values = o.facts.get(one.field)
        if o.facts.get("thing") == one.thing and isinstance(values, dict):
            total.update({str(value): int(count) for value, count in values.items()})
    return total


def _field(name: str, one: Vocabulary, counts: Counter[str]) -> Iterator[Finding]:
    where = f"The {one.field} of {PLACES[one.thing]} at {name}"
    evidence = tuple(f"{value}: {count}" for value, count in counts.most_common())
    n = sum(counts.values())
    extra = sorted(value for value in counts if value in one.known - one.documented)
    strange = sorted(value for value in counts if value not in one.known)
    if extra:
        says = f"{where} has values that the documentation does not name but the source does: {', '.join(extra)}; n = {n}."
        yield Finding("undocumented_value", Severity.INFO, name, says, evidence, "Let scripts accept them.")
    if strange:
        says = f"{where} has values that neither the documentation nor the known source names: {', '.join(strange)}; n = {n}."
        yield Finding(
            "unknown_value",
            Severity.WARNING,
            name,
            says,
            evidence,
            "Let scripts take an unknown value as such rather than fail.",
        )
    if not extra and not strange:
        yield Finding("words_known", Severity.INFO, name, f"{where}: {plural(len(counts), 'value')}, all documented; n = {n}.", evidence)
    hidden = sorted(one.hidden - set(counts))
    if hidden:
        says = (
            f"{where} can also be {', '.join(hidden)} (a deleted one, shown to people as "
            "inactive), which lists hide and the documentation does not name."
        )
        yield Finding("hidden_value", Severity.INFO, name, says, (), "One that is missing from the list is probably retired.")
