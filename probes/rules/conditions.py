"""The conditions of the mail of an enrolment with notify=true, but those of its course: instance, user, channel, present enrolments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from probes.observation import Observation, Outcome
from probes.wording import plural

OBSERVER = "ObserverEnrollment"
NO_MAIL_KINDS = frozenset({"test", "beta"})
NEEDS = {
    "course": "to read this course",
    "settings": "to read the settings of this course",
    "section": "to read this section",
    "sections": "to read the sections of this course",
    "roles": "to read the account's roles",
    "user": "to read this user's profile ('Users - view list' or the user's own token)",
    "logins": "'Users - view login IDs', as an account administrator",
    "channels": "to read this user's communication channels",
    "enrollments": "'Courses - view list of users' in this course",
}
"""The permission that a check needs, by check."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of the mail. `holds` is None where it is not known; then `says` tells why."""

    name: str
    holds: bool | None
    says: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Checks:
    """What was read for one enrolment, by check; `role` as it was asked for, `base` the type of enrolment that it is."""

    read: Mapping[str, Observation]
    kind: str | None
    role: str
    base: str

    def good(self, check: str) -> Mapping[str, Any] | None:
        """The facts of a check; None where it brought none, as of a course of which a token may know no more than that it is there."""
        seen = self.read.get(check)
        told = seen is not None and seen.ok and (check != "course" or seen.facts.get("workflow_state") is not None)
        return seen.facts if seen is not None and told else None

    def unread(self, name: str, check: str) -> Condition:
        """The condition that hangs on a check which brought nothing."""
        return Condition(name, None, why_unread(self.read.get(check), check))

    def sections(self) -> Sequence[Mapping[str, Any]] | None:
        """The sections that the enrolment may go to: the one named, or all of the course; None where they were not read whole."""
        if "section" in self.read:
            named = self.good("section")
            return None if named is None else [named]
        listed = self.good("sections")
        return None if listed is None or listed.get("more") else listed["sections"] or [{}]


def why_unread(seen: Observation | None, check: str) -> str:
    """Why a check brought nothing."""
    if seen is None:
        return "it was not asked, as the calls before brought no answer"
    path = seen.path.partition("?")[0]
    if seen.outcome is Outcome.NOT_FOUND:
        return f"{path} does not exist, or needs permission {NEEDS[check]}"
    if seen.outcome in (Outcome.FORBIDDEN, Outcome.UNAUTHORIZED):
        return f"needs permission {NEEDS[check]}"
    if seen.ok:
        return f"{path} does not tell it to this token"
    if seen.facts.get("html"):
        return f"{path} brought a web page in place of data"
    return f"{path} brought no answer ({seen.outcome.value})"


def observer(checks: Checks) -> Condition:
    """Canvas leaves registered observers out; whether one is registered tells by the logins."""
    logins = checks.good("logins")
    if checks.base != OBSERVER:
        return Condition("observer", True, f"{checks.role} is not an observer")
    if logins is None:
        return checks.unread("observer", "logins")
    if logins.get("logins"):
        return Condition("observer", False, "registered observers are left out of these mails")
    return Condition("observer", True, "an observer who is not registered gets the registration mail")


def instance(checks: Checks) -> Condition:
    """Hosted test and beta instances send no mail."""
    if checks.kind in NO_MAIL_KINDS:
        remedy = "Try it on production or a sandbox; on test and beta no mail is ever sent."
        return Condition("instance", False, f"{checks.kind} instances of hosted Canvas send no mail at all", remedy)
    says = f"the instance is {checks.kind or 'of unknown kind'}, and only test and beta are known to send no mail"
    return Condition("instance", True, says)


def user(checks: Checks) -> Condition:
    """Whether the user exists."""
    found = checks.good("user")
    return checks.unread("user", "user") if found is None else Condition("user", True, f"user {found.get('user_id')} exists")


def registration(checks: Checks) -> Condition:
    """By the heuristic that a user in creation has no login."""
    found = checks.good("logins")
    if found is None:
        return checks.unread("registration", "logins")
    if found.get("logins"):
        return Condition("registration", True, f"the user has {plural(found['logins'], 'login')}, so is registered")
    says = "the user has no login, so is probably not registered, and would get the registration mail instead"
    return Condition("registration", None, says)


def channel(checks: Checks) -> Condition:
    """An active e-mail address; for a user who is not registered yet any will do."""
    found = checks.good("channels")
    if found is None:
        return checks.unread("channel", "channels")
    emails = found.get("emails") or {}
    active, others = emails.get("active", 0), {state: count for state, count in emails.items() if state != "active"}
    if active:
        says = f"{plural(active, 'active e-mail address', 'active e-mail addresses')}; one that bounces would not show"
        return Condition("channel", True, says)
    told = ", ".join(f"{count} {state}" for state, count in others.items()) or "none at all"
    if found.get("more"):
        return Condition("channel", None, "the first page of the user's channels holds no active e-mail address, and there are more")
    if others and registration(checks).holds is None:
        says = f"the e-mail addresses are {told}, which suffices only for a user who is not registered yet"
        return Condition("channel", None, says)
    says = f"the user has no active e-mail address ({told}; retired ones are hidden from the list)"
    return Condition("channel", False, says, "Add an e-mail address and have it confirmed, then enrol again.")


def repeated(checks: Checks) -> Condition:
    """Canvas takes an enrolment for the same one by user, type, role and section; another role or section makes a new one."""
    found = checks.good("enrollments")
    if found is None:
        return checks.unread("repeated", "enrollments")
    same = [row for row in map(_whole, found.get("enrolled") or []) if row[0] == checks.base and row[3] in (None, checks.role)]
    if found.get("more") and not same:
        says = "the first page of the user's enrolments in this course holds none in this role, and there are more"
        return Condition("repeated", None, says)
    sections = checks.sections()
    if sections is None or len(sections) > 1:
        return _somewhere(same)
    target = sections[0].get("section_id")
    return _here([row for row in same if target is None or row[2] is None or str(row[2]) == str(target)])


def _whole(row: Sequence[Any]) -> list[Any]:
    """Type, state, section and role; older runs noted the first two."""
    return [*row, None, None][:4]


def _here(same: Sequence[Sequence[Any]]) -> Condition:
    """By what enrolments there are in the section that the new one goes to."""
    states = [row[1] for row in same]
    present = [state for state in states if state in ("active", "invited")]
    if present:
        says = f"the user is {present[0]} in this role already, and posting it again changes nothing"
        remedy = "To send the invitation again use 'Re-send invitation' in the course's People page; posting again does nothing."
        return Condition("repeated", False, says, remedy)
    if "creation_pending" in states:
        return Condition("repeated", True, "an enrolment waits as creation_pending: post it again now that the rest holds")
    return Condition("repeated", True, "the user has no live enrolment in this role")


def _somewhere(same: Sequence[Sequence[Any]]) -> Condition:
    """By those of any section, where it is not known which one the new enrolment goes to."""
    present = [row for row in same if row[1] in ("active", "invited")]
    if not present or all(row[2] is None for row in present):
        return _here(same)
    told = ", ".join(f"{state} in section {section}" for _, state, section, _ in present[:3])
    return Condition("repeated", None, f"the user is {told} in this role, where posting again changes nothing: name one with --section")
