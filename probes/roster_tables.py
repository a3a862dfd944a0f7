"""A roster as tables: users, students, enrolments, channels, and what there is to say about them. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from probes.roster import STUDENT, Item, Roster

Row = dict[str, Any]
UNKNOWN = "unknown"


def sheets(roster: Roster, instance: str) -> dict[str, list[Row]]:
    """Sheet -> rows, in the order in which a person reads them."""
    users = user_rows(roster)
    return {
        "About": about_rows(roster, instance, users),
        "Users": users,
        "Students": [row for row in users if row["student"]],
        "Enrollments": enrollment_rows(roster),
        "Channels": channel_rows(roster),
        "Sections": [_section(one) for one in roster.sections.values()],
    }


def user_rows(roster: Roster) -> list[Row]:
    """One row a user: who, in which roles, sections and states, and how to reach them."""
    enrollments, sections = _enrollments_by_user(roster), section_names(roster)
    return [_user(roster, key, user, enrollments[key], sections) for key, user in roster.users.items()]


def people(roster: Roster) -> list[Row]:
    """One object a user, with enrolments and channels inside (null where unknown): what JSON carries."""
    enrollments = defaultdict(list)
    for row in enrollment_rows(roster):
        enrollments[str(row["user_id"])].append(row)
    channels = defaultdict(list)
    for row in channel_rows(roster):
        channels[str(row["user_id"])].append(row)
    return [
        {**row, "enrollments": enrollments[key], "channels": channels[key] if roster.channels.get(key) is not None else None}
        for key, row in zip(roster.users, user_rows(roster), strict=True)
    ]


def enrollment_rows(roster: Roster) -> list[Row]:
    """One row an enrolment."""
    names, sections = {key: user.get("name") for key, user in roster.users.items()}, section_names(roster)
    return [
        {
            "user_id": one.get("user_id"),
            "name": names.get(str(one.get("user_id"))),
            "type": one.get("type"),
            "role": one.get("role"),
            "state": one.get("enrollment_state"),
            "section_id": one.get("course_section_id"),
            "section": _section_name(sections, one),
            "enrollment_id": one.get("id"),
            "associated_user_id": one.get("associated_user_id"),
            "created_at": one.get("created_at"),
            "updated_at": one.get("updated_at"),
            "start_at": one.get("start_at"),
            "end_at": one.get("end_at"),
            "last_activity_at": one.get("last_activity_at"),
        }
        for one in roster.enrollments
    ]


def channel_rows(roster: Roster) -> list[Row]:
    """One row a channel; a user whose channels are unknown has one row that says so."""
    rows: list[Row] = []
    for key, found in roster.channels.items():
        user = roster.users[key]
        who = {"user_id": user.get("id"), "name": user.get("name")}
        if found is None:
            rows.append({**who, **_channel_row({"type": UNKNOWN, "workflow_state": UNKNOWN})})
        rows += [{**who, **_channel_row(one)} for one in found or ()]
    return rows


def _channel_row(one: Item) -> Row:
    names = {"type": "type", "address": "address", "state": "workflow_state", "position": "position", "channel_id": "id"}
    return {column: one.get(name) for column, name in names.items()}


def about_rows(roster: Roster, instance: str, users: list[Row]) -> list[Row]:
    """Facts about the course and the reading, one a row."""
    course = roster.course or {}
    term = course.get("term") if isinstance(course.get("term"), dict) else {}
    facts: dict[str, Any] = {
        "instance": instance,
        "course": roster.course_id,
        "name": course.get("name"),
        "code": course.get("course_code"),
        "state": course.get("workflow_state"),
        "concluded": course.get("concluded"),
        "term": (term or {}).get("name"),
        "users": len(users),
        "students": sum(row["student"] for row in users),
        "enrolments": len(roster.enrollments),
        "sections": len(roster.sections),
    }
    notes = [("not known", text) for text in roster.unknown] + [("not whole", text) for text in roster.broken]
    notes += [("stopped", str(roster.stopped))] if roster.stopped else []
    return [{"fact": name, "value": value} for name, value in [*facts.items(), *notes]]


def _user(roster: Roster, key: str, user: Item, enrollments: list[Item], sections: Mapping[str, Any]) -> Row:
    found = roster.channels.get(key)
    return {
        "user_id": user.get("id"),
        "name": user.get("name"),
        "sortable_name": user.get("sortable_name"),
        "login_id": user.get("login_id"),
        "sis_user_id": user.get("sis_user_id"),
        "email": user.get("email"),
        "roles": _joined(one.get("role") or one.get("type") for one in enrollments),
        "student": any(one.get("type") == STUDENT for one in enrollments),
        "states": _joined(one.get("enrollment_state") for one in enrollments),
        "sections_of_user": _joined(_section_name(sections, one) for one in enrollments),
        "channels_of_user": UNKNOWN if found is None else _joined(_channel(one) for one in found),
        "active_email": None if found is None else any(_is_active_mail(one) for one in found),
    }


def _enrollments_by_user(roster: Roster) -> defaultdict[str, list[Item]]:
    grouped: defaultdict[str, list[Item]] = defaultdict(list)
    for one in roster.enrollments:
        grouped[str(one.get("user_id"))].append(one)
    return grouped


def _channel(one: Item) -> str:
    words = [str(one[key]) for key in ("type", "address") if one.get(key) is not None]
    return " ".join([*words, f"({one.get('workflow_state')})"])


def _is_active_mail(one: Item) -> bool:
    return one.get("type") == "email" and one.get("workflow_state") == "active"


def _section(one: Item) -> Row:
    names = ("id", "name", "sis_section_id", "start_at", "end_at", "restrict_enrollments_to_section_dates", "nonxlist_course_id")
    return {name: one.get(name) for name in names}


def section_names(roster: Roster) -> dict[str, Any]:
    """Section's id -> its name, with the id behind it where several sections have the same."""
    often = Counter(str(section.get("name")) for section in roster.sections.values())
    return {
        key: f"{section.get('name')} ({section.get('id')})" if often[str(section.get("name"))] > 1 else section.get("name")
        for key, section in roster.sections.items()
    }


def _section_name(names: Mapping[str, Any], enrollment: Item) -> Any:
    key = enrollment.get("course_section_id")
    return names.get(str(key), key)


def _joined(values: Any) -> str:
    return ", ".join(dict.fromkeys(str(value) for value in values if value is not None))
