"""Would the mail of an enrolment with notify=true be sent? Every condition of Canvas's source, from what could be read.

Source: `app/models/enrollment.rb` (broadcast policy), `enrollment_state.rb`, `course.rb`, `notification_message_creator.rb`, all of
instructure/canvas-lms; the documentation promises the mail without them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from probes.observation import Observation, Outcome
from probes.rules.base import Finding, Severity, View, plural

OBSERVER = "ObserverEnrollment"
STAFF = frozenset({"TeacherEnrollment", "TaEnrollment", "DesignerEnrollment"})
NO_MAIL_KINDS = frozenset({"test", "beta"})
NEEDS = {
    "course": "to read this course",
    "settings": "to read the settings of this course",
    "section": "to read this section",
    "user": "to read this user's profile ('Users - view list' or the user's own token)",
    "logins": "'Users - view login IDs', as an account administrator",
    "channels": "to read this user's communication channels",
    "enrollments": "'Courses - view list of users' in this course",
}
"""The permission that a check needs, by check."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of the mail. `holds` is None where it could not be read; then `says` begins with `unknown:` and tells why."""

    name: str
    holds: bool | None
    says: str


def judge(view: View) -> Iterator[Finding]:
    """Of each instance that was asked: the observer's case first, then what stops the mail, then what is unknown, or that all hold."""
    for name, seen in view.each("enrollment"):
        checks = {str(o.facts["check"]): o for o in seen if o.facts.get("check")}
        if "course" not in checks:
            says = f"{name} shows no course to check an enrolment in."
            yield Finding(
                "enrollment_unchecked", Severity.INFO, name, says, (), "Name one with --course or --section, and the user with --user."
            )
            continue
        yield from _of_instance(name, checks, view.kind_of(name))


def _of_instance(name: str, checks: Mapping[str, Observation], kind: str | None) -> Iterator[Finding]:
    about = checks["course"].facts
    what = f"{about.get('type')} of user {about.get('user')} in course {about.get('course')} at {name}"
    found = conditions(checks, kind)
    evidence = tuple(one.says if one.holds is None else f"{'holds' if one.holds else 'STOPS'}: {one.says}" for one in found)
    example = Severity.INFO if not about.get("named") else Severity.WARNING
    stopping = [one for one in found if one.holds is False]
    unknown = [one for one in found if one.holds is None]
    if any(one.name == "observer" for one in stopping):
        says = (
            "A registered observer never gets an invitation or a notification by mail, whatever notify says: Canvas leaves observers out."
        )
        advice = "Tell observers yourself; only one who is not registered yet gets the registration mail."
        yield Finding("observer_no_mail", example, name, says, evidence, advice)
    for one in stopping:
        if one.name != "observer":
            yield Finding("mail_stopped", example, name, f"{what}: no mail would be sent, as {one.says}.", evidence, _remedy(one.name))
    for one in unknown:
        yield Finding("condition_unknown", Severity.INFO, name, f"{what}: {one.name} is {one.says}.", evidence)
    if not stopping:
        hedge = f", {plural(len(unknown), 'condition')} unread" if unknown else ""
        says = f"{what}: nothing that was read stops the mail ({len(found) - len(unknown)} of {len(found)} conditions hold{hedge})."
        advice = (
            "Canvas makes the message; whether it left cannot be read by the API: look at the "
            "user's junk folder and ask the vendor for the delivery log."
        )
        yield Finding("mail_would_go", Severity.INFO, name, says, evidence, advice)


def conditions(checks: Mapping[str, Observation], kind: str | None) -> list[Condition]:
    """All conditions, in the order in which a person would ask them."""
    course = checks["course"]
    role = str(course.facts.get("type"))
    registered = _registered(checks.get("logins"))
    return [
        _observer(role, checks.get("logins")),
        Condition("instance", kind not in NO_MAIL_KINDS, _kind_says(kind)),
        _exists(checks.get("user")),
        registered,
        _channel(checks.get("channels"), registered),
        _published(course, role),
        _concluded(course),
        _dates(course, checks.get("section")),
        _future(course, checks.get("settings")),
        _repeated(checks.get("enrollments"), role),
    ]


def _unread(name: str, check: str, seen: Observation | None) -> Condition:
    if seen is not None and seen.outcome is Outcome.NOT_FOUND:
        return Condition(name, None, f"unknown: {seen.path} does not exist, or needs permission {NEEDS[check]}")
    return Condition(name, None, f"unknown: needs permission {NEEDS[check]}")


def _observer(role: str, logins: Observation | None) -> Condition:
    if role != OBSERVER:
        return Condition("observer", True, f"{role} is not an observer")
    if logins is not None and logins.ok and not logins.facts.get("logins"):
        return Condition(
            "observer", None, "unknown: an observer without a login is probably not registered, and gets the registration mail then"
        )
    return Condition("observer", False, "registered observers are left out of these mails")


def _kind_says(kind: str | None) -> str:
    if kind in NO_MAIL_KINDS:
        return f"{kind} instances of hosted Canvas send no mail at all"
    return f"the instance is {kind or 'of unknown kind'}, and only test and beta are known to send no mail"


def _exists(user: Observation | None) -> Condition:
    if user is None or not user.ok:
        return _unread("user", "user", user)
    return Condition("user", True, f"user {user.facts.get('user_id')} exists")


def _registered(logins: Observation | None) -> Condition:
    """By the heuristic that a user in creation has no login."""
    if logins is None or not logins.ok:
        return _unread("registration", "logins", logins)
    if logins.facts.get("logins"):
        return Condition("registration", True, f"the user has {plural(logins.facts['logins'], 'login')}, so is registered")
    return Condition(
        "registration", None, "unknown: the user has no login, so is probably not registered, and would get the registration mail instead"
    )


def _channel(channels: Observation | None, registered: Condition) -> Condition:
    if channels is None or not channels.ok:
        return _unread("channel", "channels", channels)
    emails = channels.facts.get("emails") or {}
    active, others = emails.get("active", 0), {state: count for state, count in emails.items() if state != "active"}
    if active:
        return Condition(
            "channel", True, f"{plural(active, 'active e-mail address', 'active e-mail addresses')}; one that bounces would not show"
        )
    told = ", ".join(f"{count} {state}" for state, count in others.items()) or "none at all"
    if others and registered.holds is None:
        return Condition(
            "channel", None, f"unknown: the e-mail addresses are {told}, which suffices only for a user who is not registered yet"
        )
    return Condition("channel", False, f"the user has no active e-mail address ({told}; retired ones are hidden from the list)")


def _published(course: Observation, role: str) -> Condition:
    if not course.ok:
        return _unread("published", "course", course)
    state = course.facts.get("workflow_state")
    if state == "available":
        return Condition("published", True, "the course is published")
    if state in ("unpublished", "created", "claimed") and role in STAFF:
        return Condition("published", True, "the course is not published, which does not stop the mails of staff")
    if state in ("completed", "deleted"):
        return Condition("published", False, f"the course is {state}")
    return Condition(
        "published", False, f"the course is {state}: the enrolment stays creation_pending, and no mail follows when it is published later"
    )


def _concluded(course: Observation) -> Condition:
    if not course.ok:
        return _unread("concluded", "course", course)
    if course.facts.get("concluded") is True:
        return Condition("concluded", False, "the course has concluded")
    return Condition("concluded", True, "the course has not concluded")


def _dates(course: Observation, section: Observation | None) -> Condition:
    """Whether the dates that hold are over. The section's hold where it restricts, else the course's where it does, else the term's."""
    if not course.ok:
        return _unread("dates", "course", course)
    place, end = _end(course.facts, section.facts if section is not None and section.ok else {})
    now = course.facts.get("now_s")
    if end is not None and isinstance(now, int | float) and end < now:
        return Condition("dates", False, f"the dates of the {place} are over")
    return Condition("dates", True, f"the dates of the {place} are not over")


def _end(course: Mapping[str, Any], section: Mapping[str, Any]) -> tuple[str, float | None]:
    if section.get("restrict_enrollments_to_section_dates") and section.get("end_at"):
        return "section", _when(section["end_at"])
    if course.get("restrict_enrollments_to_course_dates"):
        return "course", _when(course.get("end_at"))
    return "term", _when(course.get("term_end_at"))


def _future(course: Observation, settings: Observation | None) -> Condition:
    """A course that has not begun and hides itself until then makes the enrolment inactive."""
    if not course.ok:
        return _unread("future", "course", course)
    restricted = course.facts.get("restrict_enrollments_to_course_dates")
    start = _when(course.facts.get("start_at") if restricted else course.facts.get("term_start_at"))
    now = course.facts.get("now_s")
    if start is None or not isinstance(now, int | float) or start <= now:
        return Condition("future", True, "the course has begun")
    if settings is None or not settings.ok or settings.facts.get("restrict_student_future_view") is None:
        return _unread("future", "settings", settings)
    if settings.facts["restrict_student_future_view"]:
        return Condition("future", False, "the course has not begun and hides itself from students until then")
    return Condition("future", True, "the course has not begun, but students may see it before")


def _repeated(enrollments: Observation | None, role: str) -> Condition:
    if enrollments is None or not enrollments.ok:
        return _unread("repeated", "enrollments", enrollments)
    states: Sequence[Any] = [state for kind, state in enrollments.facts.get("enrolled") or [] if kind == role]
    present = [state for state in states if state in ("active", "invited")]
    if present:
        return Condition("repeated", False, f"the user is {present[0]} in this role already, and posting it again changes nothing")
    if "creation_pending" in states:
        return Condition("repeated", True, "an enrolment waits as creation_pending: post it again now that the rest holds")
    return Condition("repeated", True, "the user has no live enrolment in this role")


def _when(text: Any) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (TypeError, ValueError):
        return None


_REMEDIES = {
    "instance": "Try it on production or a sandbox; on test and beta no mail is ever sent.",
    "channel": "Add an e-mail address and have it confirmed, then enrol again.",
    "published": "Publish the course first; then post the enrolment again, as publishing alone sends nothing.",
    "concluded": "Move the end of the course or its term, then enrol.",
    "dates": "Move the dates, or give the enrolment dates of its own.",
    "future": "Allow students to see the course before it starts, or enrol them when it has begun.",
    "repeated": "To send the invitation again use 'Re-send invitation' in the course's People page; posting again does nothing.",
}


def _remedy(name: str) -> str:
    return _REMEDIES.get(name, "")
