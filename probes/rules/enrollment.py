"""Would the mail of an enrolment with notify=true be sent? Every condition of Canvas's source, from what could be read.

Source: `app/models/enrollment.rb` (broadcast policy), `enrollment_state.rb`, `course.rb`, `notification_message_creator.rb`, all of
instructure/canvas-lms; the documentation promises the mail without them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from probes.observation import Observation
from probes.rules.base import Finding, Severity, View
from probes.rules.conditions import Checks, Condition, channel, instance, observer, registration, repeated, user, why_unread
from probes.rules.course_conditions import begun, concluded, published
from probes.wording import plural
from probes.words import ENROLLMENT_TYPES

CONDITIONS = (observer, instance, user, registration, channel, published, concluded, begun, repeated)
"""In the order in which a person would ask them."""
QUESTIONS = {
    "observer": "whether this observer is registered, and so left out of these mails",
    "user": "whether the user exists",
    "registration": "whether the user is registered",
    "channel": "whether the user has an e-mail address that counts",
    "published": "whether the course is published",
    "concluded": "whether the course has concluded",
    "begun": "whether the course has begun",
    "repeated": "whether this enrolment exists already",
}
"""What is not known, by condition."""
DECISIVE = {"observer": "this observer's logins", "user": "the user", "published": "the course"}
"""Without these nothing can be said of the mail."""


def judge(view: View) -> Iterator[Finding]:
    """Of each instance that was asked: the observer's case first, then what stops the mail, what is not known, and what follows."""
    for name, seen in view.each("enrollment"):
        checks = {str(o.facts["check"]): o for o in seen if o.facts.get("check")}
        if "course" not in checks:
            yield _no_course(name, checks.get("section"))
            continue
        base = _base(checks)
        role = str(checks["course"].facts.get("type"))
        yield from (
            _of_instance(name, Checks(checks, view.kind_of(name), role, base)) if base else [_no_type(name, role, checks.get("roles"))]
        )


def _no_course(name: str, section: Observation | None) -> Finding:
    if section is not None and not section.ok:
        says = f"Section {section.facts.get('section')} of {name} cannot be read: {why_unread(section, 'section')}."
        return Finding("enrollment_unchecked", Severity.WARNING, name, says, (), "Check its id, or name the course with --course.")
    says = f"{name} shows no course to check an enrolment in."
    return Finding("enrollment_unchecked", Severity.INFO, name, says, (), "Name one with --course or --section, and the user with --user.")


def _base(checks: Mapping[str, Observation]) -> str | None:
    """The type of enrolment that was asked for, itself or by the name of a role; None where it is neither."""
    asked, roles = str(checks["course"].facts.get("type")), checks.get("roles")
    if asked in ENROLLMENT_TYPES:
        return asked
    base = (roles.facts.get("roles") or {}).get(asked) if roles is not None else None
    return str(base) if base in ENROLLMENT_TYPES else None


def _no_type(name: str, asked: str, roles: Observation | None) -> Finding:
    types = f"types are {', '.join(ENROLLMENT_TYPES)}"
    if roles is None or not roles.ok:
        says = f"'{asked}' is no type of enrolment, and whether it is a role of {name} is not known: {why_unread(roles, 'roles')}."
        return Finding("enrollment_unchecked", Severity.WARNING, name, says, (), f"Name a type: {types}.")
    own = [role for role in roles.facts.get("roles") or () if role not in ENROLLMENT_TYPES]
    told = f"; roles of its own are {', '.join(own[:8])}{' ...' if len(own) > 8 else ''}" if own else ", and it shows no roles of its own"
    says = f"'{asked}' is neither a type of enrolment nor a role of {name}."
    return Finding("enrollment_unchecked", Severity.WARNING, name, says, (), f"Of {name} {types}{told}.")


def _of_instance(name: str, checks: Checks) -> Iterator[Finding]:
    about = checks.read["course"].facts
    what = _what(name, checks.role, about)
    found = [condition(checks) for condition in CONDITIONS]
    evidence = tuple(f"{ {True: 'holds', False: 'STOPS', None: 'unknown'}[one.holds] }: {one.says}" for one in found)
    stops = [_stopped(name, what, one, Severity.WARNING if about.get("named") else Severity.INFO) for one in found if one.holds is False]
    unknown = [one for one in found if one.holds is None]
    # each condition is told once, with the finding that sums up, or else with the first
    told = [*stops, *_unknown(name, what, unknown), *([] if stops else [_conclusion(name, what, found, unknown)])]
    summing_up = told[0] if stops else told[-1]
    for one in told:
        yield one if one is not summing_up else replace(one, evidence=evidence)


def _what(name: str, role: str, about: Mapping[str, Any]) -> str:
    place = f"section {about['section']} of course" if about.get("section") is not None else "course"
    return f"{role} of user {about.get('user')} in {place} {about.get('course')} at {name}"


def _stopped(name: str, what: str, one: Condition, severity: Severity) -> Finding:
    if one.name != "observer":
        return Finding("mail_stopped", severity, name, f"{what}: no mail would be sent, as {one.says}.", (), one.remedy)
    says = "A registered observer never gets an invitation or a notification by mail, whatever notify says: Canvas leaves observers out."
    advice = "Tell observers yourself; only one who is not registered yet gets the registration mail."
    return Finding("observer_no_mail", severity, name, says, (), advice)


def _unknown(name: str, what: str, unknown: Sequence[Condition]) -> Iterator[Finding]:
    """One finding for each reason, as one answer may leave several conditions open."""
    for reason in dict.fromkeys(one.says for one in unknown):
        open_ = " and ".join(QUESTIONS[one.name] for one in unknown if one.says == reason)
        yield Finding("condition_unknown", Severity.INFO, name, f"{what}: {open_} is not known: {reason}.")


def _conclusion(name: str, what: str, found: Sequence[Condition], unknown: Sequence[Condition]) -> Finding:
    held = f"{len(found) - len(unknown)} of {len(found)} conditions hold"
    missing = " and ".join(DECISIVE[one.name] for one in unknown if one.name in DECISIVE)
    if missing:
        says = f"{what}: nothing can be said of the mail, as {missing} could not be read ({held})."
        advice = "Check the ids; then use the token of an account administrator."
        return Finding("mail_unknown", Severity.WARNING, name, says, (), advice)
    hedge = f", {plural(len(unknown), 'condition is', 'conditions are')} not known" if unknown else ""
    says = f"{what}: nothing that was read stops the mail ({held}{hedge})."
    advice = (
        "Canvas makes the message, whatever the user's notification preferences say; whether it left cannot be read by the API: look at "
        "the user's junk folder and ask the vendor for the delivery log."
    )
    return Finding("mail_would_go", Severity.INFO, name, says, (), advice)
