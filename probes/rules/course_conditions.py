"""What the course decides of the mail of an enrolment: whether it is published, whether it is over, whether it has begun.

Which dates hold: `lib/canvas/builders/enrollment_date_builder.rb`; what they make of an enrolment: `enrollment_state.rb`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from probes.instants import seconds_of
from probes.rules.conditions import OBSERVER, Checks, Condition

STAFF = frozenset({"TeacherEnrollment", "TaEnrollment", "DesignerEnrollment"})
HIDDEN_FROM = frozenset({"StudentEnrollment", OBSERVER})
"""Whom a course can hide itself from (`view_restrictable?` of enrollment.rb)."""
DEPENDS = "it depends on the section: name one with --section"
ENDED = {
    "completed": "Reopen the course, then enrol.",
    "deleted": "Restore the course, or enrol in another.",
}
"""States of a course that is over, with the remedy of each."""


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when the dates of a `place` (section, course, term) let people in; seconds since 1970, None: open."""

    place: str
    start_s: float | None
    end_s: float | None

    @classmethod
    def of(cls, place: str, facts: Mapping[str, Any], before: str = "") -> Span:
        """From the facts of a check."""
        return cls(place, seconds_of(facts.get(f"{before}start_at")), seconds_of(facts.get(f"{before}end_at")))

    def holds(self, now_s: float) -> bool:
        """Whether `now_s` is within."""
        return (self.start_s is None or self.start_s <= now_s) and (self.end_s is None or now_s <= self.end_s)


@dataclass(frozen=True, slots=True)
class Phase:
    """`now`, `over` or `future`, by the dates of `place`."""

    word: str
    place: str


def published(checks: Checks) -> Condition:
    """An enrolment in a course that is not published waits as creation_pending, but for staff."""
    course = checks.good("course")
    if course is None:
        return checks.unread("published", "course")
    state = course.get("workflow_state")
    if state == "available" or state in ENDED:
        return Condition("published", True, "the course is published" if state == "available" else "the course is not a draft")
    if state in ("unpublished", "created", "claimed") and checks.base in STAFF:
        return Condition("published", True, "the course is not published; staff get their mail all the same")
    says = f"the course is {state}: the enrolment stays creation_pending, and no mail follows when it is published later"
    remedy = "Publish the course first; then post the enrolment again, as publishing alone sends nothing."
    return Condition("published", False, says, remedy)


def concluded(checks: Checks) -> Condition:
    """Whether the course is over, and by what: its state, the dates that hold, or else by what Canvas says of it."""
    course = checks.good("course")
    if course is None:
        return checks.unread("concluded", "course")
    state = str(course.get("workflow_state"))
    if state in ENDED:
        return Condition("concluded", False, f"the course is {state}", ENDED[state])
    phases = _phases(checks, course)
    if phases is not None and all(phase.word == "over" for phase in phases):
        place = phases[0].place
        other = "" if place == "section" else ", or give the section dates of its own"
        return Condition("concluded", False, f"the dates of the {place} are over", f"Move the end of the {place}{other}, then enrol.")
    return _closed(checks, phases) if course.get("concluded") is True else _open(checks, phases)


def _open(checks: Checks, phases: Sequence[Phase] | None) -> Condition:
    if phases is None:
        return _sections_unread(checks, "concluded")
    if any(phase.word == "over" for phase in phases):
        return Condition("concluded", None, DEPENDS)
    return Condition("concluded", True, f"the dates of the {phases[0].place} are not over")


def _closed(checks: Checks, phases: Sequence[Phase] | None) -> Condition:
    """A concluded course takes only those who are in it already, and into an open section that is named (`create` of enrollments_api)."""
    enrolled = checks.good("enrollments")
    if "section" in checks.read and phases and phases[0] == Phase("now", "section") and enrolled and enrolled.get("enrolled"):
        return Condition("concluded", True, "the course has concluded, but the section is open, and the user is in the course already")
    return Condition("concluded", False, "the course has concluded", "Move the end of the course or its term, then enrol.")


def begun(checks: Checks) -> Condition:
    """A course that has not begun and hides itself until then makes the enrolment inactive; for those it can hide from."""
    course, settings = checks.good("course"), checks.good("settings")
    if course is None:
        return checks.unread("begun", "course")
    if checks.base not in HIDDEN_FROM:
        return Condition("begun", True, "the start of a course holds back no mail of staff")
    phases = _phases(checks, course)
    future = [phase for phase in phases or () if phase.word == "future"]
    if phases is not None and not future:
        return Condition("begun", True, "the course has begun")
    hides = None if settings is None else settings.get("restrict_student_future_view")
    if hides is None:
        return checks.unread("begun", "settings")
    return _hidden(future, len(phases)) if phases is not None and hides else _seen(checks, phases, bool(hides))


def _seen(checks: Checks, phases: Sequence[Phase] | None, hides: bool) -> Condition:
    if hides:
        return _sections_unread(checks, "begun")
    return Condition(
        "begun", True, "the course has not begun, but students may see it before" if phases else "students may see it before it begins"
    )


def _hidden(future: Sequence[Phase], sections: int) -> Condition:
    if len(future) < sections:
        return Condition("begun", None, DEPENDS)
    what = "section" if future[0].place == "section" else "course"
    says = f"the {what} has not begun and hides itself from students until then"
    return Condition("begun", False, says, "Allow students to see the course before it starts, or enrol them when it has begun.")


def _phases(checks: Checks, course: Mapping[str, Any]) -> list[Phase] | None:
    """The phase in each section that the enrolment may go to; None where these are not known."""
    sections, now_s = checks.sections(), course.get("now_s")
    if sections is None:
        return None
    spans = [_spans(course, section, checks.base) for section in sections]
    if not isinstance(now_s, int | float):
        return [Phase("now", one[0].place) for one in spans]
    return [_phase(one, now_s) for one in spans]


def _spans(course: Mapping[str, Any], section: Mapping[str, Any], base: str) -> list[Span]:
    """The section's dates hold where it restricts, else the course's where it does, else the term's, which always hold for staff too."""
    term = Span.of("term", course, "term_")
    if section.get("restrict_enrollments_to_section_dates"):
        narrow = Span.of("section", section)
    elif course.get("restrict_enrollments_to_course_dates"):
        narrow = Span.of("course", course)
    else:
        return [term]
    return [narrow, term] if base in STAFF else [narrow]


def _phase(spans: Sequence[Span], now_s: float) -> Phase:
    held = next((span for span in spans if span.holds(now_s)), None)
    if held is not None:
        return Phase("now", held.place)
    earliest = min(time_s for span in spans for time_s in (span.start_s, span.end_s) if time_s is not None)
    return Phase("over" if earliest < now_s else "future", spans[0].place)


def _sections_unread(checks: Checks, name: str) -> Condition:
    listed = checks.good("sections")
    if listed is not None:
        return Condition(name, None, DEPENDS)
    return checks.unread(name, "section" if "section" in checks.read else "sections")
