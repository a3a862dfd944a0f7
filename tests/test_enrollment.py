"""Whether the mail of an enrolment would go, by what a server says of sections, roles, dates and ids."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from asked import seen
from typer.testing import CliRunner

from probes import findings
from probes.cli import app
from probes.errors import UsageError
from probes.findings import Finding, Severity
from probes.observation import Observation
from probes.scenarios import Options
from probes.scenarios.asking import segment
from probes.words import ENROLLMENT_TYPES, slip

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
STUDENT, TEACHER, OBSERVER = "StudentEnrollment", "TeacherEnrollment", "ObserverEnrollment"
HIDDEN = {"restrict_student_future_view": True}
MISSING = {"errors": [{"message": "The specified resource does not exist."}]}


def day(days: float) -> str:
    return (NOW + timedelta(days=days)).isoformat()


def section(number: int = 11, start: float | None = None, end: float | None = None) -> dict[str, Any]:
    """A section that restricts to its dates where it has one; days from now."""
    dates = {"start_at": None if start is None else day(start), "end_at": None if end is None else day(end)}
    return {"id": number, "course_id": 1, **dates, "restrict_enrollments_to_section_dates": start is not None or end is not None}


def row(state: str, kind: str = STUDENT, place: int = 11, role: str | None = None) -> dict[str, Any]:
    return {"type": kind, "enrollment_state": state, "course_section_id": place, "role": role or kind}


def school(
    answers: Any = None,
    *,
    course: Any = None,
    term: Any = None,
    settings: Any = None,
    sections: Any = None,
    rows: Any = (),
    logins: int = 1,
    longer: tuple[str, ...] = (),
) -> Any:
    """A server with course 1 and user 2; `answers` maps the end of a path to a status, or to a body in place of its own.

    `longer`: ends of paths of lists that name a next page.
    """
    dates = {"start_at": None, "end_at": None}
    bodies: dict[str, Any] = {
        "/courses/1": {"workflow_state": "available", "concluded": False, **dates, **(course or {}), "term": {**dates, **(term or {})}},
        "/courses/1/settings": settings or {"restrict_student_future_view": False},
        "/courses/1/sections": [section()] if sections is None else sections,
        **{f"/sections/{one['id']}": one for one in ([section()] if sections is None else sections)},
        "/users/2": {"id": 2},
        "/users/2/logins": [{"id": 9}] * logins,
        "/users/2/communication_channels": [{"type": "email", "workflow_state": "active"}],
        "/courses/1/enrollments": list(rows),
    }

    def script(request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/v1")
        told = next((answer for end, answer in (answers or {}).items() if path.endswith(end)), bodies.get(path))
        status = told if isinstance(told, int) else 404 if told is None else 200
        headers = {"Date": NOW.strftime("%a, %d %b %Y %H:%M:%S GMT")}
        if any(path.endswith(end) for end in longer):
            headers["Link"] = f'<{request.url}&page=2>; rel="next"'
        return httpx.Response(status, json=MISSING if status != 200 else told, headers=headers, request=request)

    return script


def looked(script: Any, kind: str = STUDENT, named: str | None = None, **options: Any) -> tuple[list[Observation], list[Finding]]:
    """What the scenario sees of an enrolment of user 2 in course 1, and its findings."""
    lines = seen(
        "enrollment", script=script, options=Options(**{"course": "1", "user": "2", "section": named, "extra": {"type": kind}, **options})
    )
    return lines, [found for found in findings.judge(lines) if found.kind not in ("permission", "server_errors")]


def kinds(found: list[Finding]) -> list[str]:
    return [finding.kind for finding in found]


GOES = {
    "plain": school(),
    "a section that is open in a term that is over": school(term={"end_at": day(-5)}, sections=[section(start=-50, end=30)]),
    "a section without an end": school(term={"end_at": day(-5)}, sections=[section(start=-50)]),
    "all sections open": school(sections=[section(11, -5, 30), section(12)]),
    "dates that do not restrict": school(course={"end_at": day(-5)}),
    "a future that is not hidden": school(term={"start_at": day(9)}, sections=[section(), section(12, -3)]),
    "a course without a section yet": school(sections=[]),
    "enrolled in another role": school(rows=[row("active", role="Peer Tutor")]),
    "enrolled as another type": school(rows=[row("active", TEACHER)]),
    "enrolled once": school(rows=[row("completed"), row("deleted"), row("rejected"), row("inactive")]),
    "waiting": school(rows=[row("creation_pending")]),
}


@pytest.mark.parametrize("world", GOES)
def test_nothing_stops_the_mail(world: str) -> None:
    """Where Canvas makes the mail there is one finding: all nine conditions hold."""
    (finding,) = looked(GOES[world])[1]
    assert finding.says == "StudentEnrollment of user 2 in course 1 at test: nothing that was read stops the mail (9 of 9 conditions hold)."
    assert len(finding.evidence) == 9


STOPS: dict[str, tuple[Any, str, str]] = {
    "completed": (school(course={"workflow_state": "completed", "concluded": True}), "the course is completed", "Reopen the course"),
    "deleted": (school(course={"workflow_state": "deleted"}), "the course is deleted", "Restore the course"),
    "term over": (
        school(course={"concluded": True}, term={"end_at": day(-5)}),
        "the dates of the term are over",
        "Move the end of the term, or give the section dates of its own, then enrol.",
    ),
    "course over": (
        school(course={"concluded": True, "end_at": day(-5), "restrict_enrollments_to_course_dates": True}),
        "the dates of the course are over",
        "Move the end of the course",
    ),
    "only section over": (
        school(sections=[section(end=-5)]),
        "the dates of the section are over",
        "Move the end of the section, then enrol.",
    ),
    "concluded, section open": (
        school(course={"concluded": True}, sections=[section(end=5)], rows=[row("completed")]),
        "the course has concluded",
        "Move the end",
    ),
    "only section hidden": (
        school(sections=[section(start=5)], settings=HIDDEN),
        "the section has not begun and hides itself from students until then",
        "Allow students to see the course",
    ),
    "enrolled": (
        school(rows=[row("active")]),
        "the user is active in this role already, and posting it again changes nothing",
        "To send the invitation again",
    ),
}


@pytest.mark.parametrize("world", STOPS)
def test_one_cause_is_told_once(world: str) -> None:
    """What stops the mail is one warning with the remedy that fits, and all conditions beside it."""
    script, cause, remedy = STOPS[world]
    (finding,) = looked(script)[1]
    assert finding.says == f"StudentEnrollment of user 2 in course 1 at test: no mail would be sent, as {cause}."
    assert finding.advice.startswith(remedy)
    assert (finding.severity, len(finding.evidence)) == (Severity.WARNING, 9)


def test_two_causes_have_their_evidence_once() -> None:
    """Of several findings one has the conditions as its evidence."""
    found = looked(school({"communication_channels": []}, course={"workflow_state": "unpublished"}))[1]
    assert kinds(found) == ["mail_stopped", "mail_stopped"]
    assert [len(finding.evidence) for finding in found] == [9, 0]


@pytest.mark.parametrize("kind", [TEACHER, "TaEnrollment", "DesignerEnrollment"])
def test_a_hidden_future_holds_back_no_staff(kind: str) -> None:
    """A course can hide itself from students and observers only; a draft, too, stops no mail of staff."""
    future = {"start_at": day(9), "restrict_enrollments_to_course_dates": True}
    (finding,) = looked(school(course=future, settings=HIDDEN), kind)[1]
    assert "holds: the start of a course holds back no mail of staff" in finding.evidence
    (finding,) = looked(school(course={"workflow_state": "unpublished"}), kind)[1]
    assert "holds: the course is not published; staff get their mail all the same" in finding.evidence


def test_staff_may_come_while_the_term_runs() -> None:
    """For staff the dates of the term hold beside those of the section."""
    assert kinds(looked(school(sections=[section(end=-5)]), TEACHER)[1]) == ["mail_would_go"]


def test_a_named_section_counts() -> None:
    """With `--section` its dates and its enrolments alone count."""
    both = [section(11, end=-5), section(12, end=5)]
    assert kinds(looked(school(sections=both), named="12")[1]) == ["mail_would_go"]
    assert looked(school(sections=both), named="11")[1][0].says == (
        "StudentEnrollment of user 2 in section 11 of course 1 at test: no mail would be sent, as the dates of the section are over."
    )
    assert kinds(looked(school(rows=[row("active", place=99)]), named="11")[1]) == ["mail_would_go"]
    assert kinds(looked(school(rows=[row("active", place=11)]), named="11")[1]) == ["mail_stopped"]


def test_a_concluded_course_takes_its_own_into_an_open_section() -> None:
    """Who is in a concluded course may still be enrolled in a section of it that is open, where it is named."""
    over = school(course={"concluded": True}, term={"end_at": day(-5)}, sections=[section(12, end=5)], rows=[row("active")])
    assert kinds(looked(over, named="12")[1]) == ["mail_would_go"]


def test_without_a_name_sections_that_differ_are_not_known() -> None:
    """Where sections differ and none is named, neither 'would go' nor 'stops' is said of their dates."""
    found = looked(school(sections=[section(11, end=-5), section(12)]))[1]
    what = "StudentEnrollment of user 2 in course 1 at test"
    assert [finding.says for finding in found] == [
        f"{what}: whether the course has concluded is not known: it depends on the section: name one with --section.",
        f"{what}: nothing that was read stops the mail (8 of 9 conditions hold, 1 condition is not known).",
    ]
    found = looked(school(sections=[section(11, start=5), section(12)], settings=HIDDEN))[1]
    assert found[0].says.startswith(f"{what}: whether the course has begun is not known: it depends on the section")


def test_enrolled_in_one_of_several_sections() -> None:
    """Of a user who is in one section already it is not known what posting again does, unless the section is named."""
    found = looked(school(sections=[section(11), section(12)], rows=[row("active", place=12)]))[1]
    assert found[0].says.endswith(
        "whether this enrolment exists already is not known: the user is active in section 12 in this role, where posting again"
        " changes nothing: name one with --section."
    )


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (403, "needs permission to read the sections of this course"),
        (404, "/api/v1/courses/1/sections does not exist, or needs permission to read the sections of this course"),
        (500, "/api/v1/courses/1/sections brought no answer (server_error)"),
    ],
)
def test_sections_that_cannot_be_read(status: int, reason: str) -> None:
    """Without the sections the dates are not known, for the reason that the server gave; a cause that is certain is still told."""
    found = looked(school({"/sections": status}, settings=HIDDEN))[1]
    assert found[0].says.endswith(f"whether the course has concluded and whether the course has begun is not known: {reason}.")
    assert kinds(looked(school({"/sections": status}, course={"concluded": True}))[1])[0] == "mail_stopped"


@pytest.mark.parametrize(
    ("end", "missing", "held"),
    [("/users/2", "the user", 8), ("/courses/1", "the course", 6)],
)
@pytest.mark.parametrize("status", [403, 404])
def test_without_course_or_user_nothing_is_said(end: str, missing: str, held: int, status: int) -> None:
    """Where the course or the user cannot be read it is a warning that nothing can be said, and not that nothing stops the mail."""
    found = looked(school({end: status}))[1]
    assert (found[0].kind, found[0].severity) == ("mail_unknown", Severity.WARNING)
    assert found[0].says == (
        "StudentEnrollment of user 2 in course 1 at test: "
        f"nothing can be said of the mail, as {missing} could not be read ({held} of 9 conditions hold)."
    )
    assert "mail_would_go" not in kinds(found)


def test_a_course_of_which_no_more_is_told_than_that_it_is_there() -> None:
    """Where Canvas shows a course's id only (access_restricted_by_date) nothing is known of its state, end and start, nor of the mail."""
    found = looked(school({"/courses/1": {"id": 1, "access_restricted_by_date": True}}))[1]
    assert found[0].says.endswith("nothing can be said of the mail, as the course could not be read (6 of 9 conditions hold).")
    assert found[1].says.endswith("has begun is not known: /api/v1/courses/1 does not tell it to this token.")


@pytest.mark.parametrize(
    ("end", "first", "says"),
    [
        ("/communication_channels", [{"type": "push", "workflow_state": "active"}], "the first page of the user's channels holds no"),
        ("/enrollments", [row("active", OBSERVER)], "the first page of the user's enrolments in this course holds none in this role"),
    ],
)
def test_what_a_first_page_leaves_open(end: str, first: list[Any], says: str) -> None:
    """A list of which one page was read stops no mail by what that page does not hold, and lets none go by it."""
    found = looked(school({end: first}, longer=(end,)))[1]
    assert kinds(found) == ["condition_unknown", "mail_would_go"]
    assert f"not known: {says}" in found[0].says
    assert "(8 of 9 conditions hold, 1 condition is not known)" in found[1].says
    whole = looked(school(rows=[row("active")], longer=(end,)))[1]
    assert kinds(whole) == ["mail_stopped"], "what the first page holds counts"


def test_observers() -> None:
    """A registered observer gets no mail; of one without logins nothing of the kind is said; unread logins leave it open."""
    assert kinds(looked(school(), OBSERVER)[1]) == ["observer_no_mail"]
    found = looked(school({"communication_channels": [{"type": "email", "workflow_state": "unconfirmed"}]}, logins=0), OBSERVER)[1]
    assert kinds(found) == ["condition_unknown", "condition_unknown", "mail_would_go"]
    assert "holds: an observer who is not registered gets the registration mail" in found[-1].evidence
    found = looked(school({"/logins": 403}), OBSERVER)[1]
    assert kinds(found) == ["mail_unknown", "condition_unknown"]
    assert found[0].says.endswith("nothing can be said of the mail, as this observer's logins could not be read (7 of 9 conditions hold).")


ROLES = [{"role": "Helper", "base_role_type": TEACHER}, {"role": STUDENT, "base_role_type": STUDENT}]


def test_a_role_of_the_account() -> None:
    """A role's name is taken for the type that it is, and its own enrolments are those of that role."""
    draft = {"workflow_state": "unpublished"}
    assert kinds(looked(school({"/roles": ROLES}, course=draft), "Helper")[1]) == ["mail_would_go"]
    assert kinds(looked(school({"/roles": ROLES}, rows=[row("active", TEACHER, role="Helper")]), "Helper")[1]) == ["mail_stopped"]
    assert kinds(looked(school({"/roles": ROLES}, rows=[row("active", TEACHER)]), "Helper")[1]) == ["mail_would_go"]


@pytest.mark.parametrize(
    ("roles", "says", "advice"),
    [
        (ROLES, "'Tutor' is neither a type of enrolment nor a role of test.", "; roles of its own are Helper."),
        (ROLES[1:], "'Tutor' is neither a type of enrolment nor a role of test.", ", and it shows no roles of its own."),
        (
            403,
            "'Tutor' is no type of enrolment, and whether it is a role of test is not known: needs permission to read the account's roles.",
            ", ObserverEnrollment.",
        ),
    ],
)
def test_no_such_type(roles: Any, says: str, advice: str) -> None:
    """A type that is none is told with those that there are, and no condition is judged by it."""
    (finding,) = looked(school({"/roles": roles}), "Tutor")[1]
    assert (finding.kind, finding.severity, finding.says) == ("enrollment_unchecked", Severity.WARNING, says)
    assert ", ".join(ENROLLMENT_TYPES) in finding.advice
    assert finding.advice.endswith(advice)


@pytest.mark.parametrize(
    ("text", "meant"),
    [("Student", STUDENT), ("ta", "TaEnrollment"), ("teacherenrollment", TEACHER), (STUDENT, None), ("Helper", None)],
)
def test_slips_of_types(text: str, meant: str | None) -> None:
    """A type in other letters or without its end is known for what it means; a type itself, or another word, is no slip."""
    assert slip(text) == meant


def test_a_slip_is_refused_before_anything_is_sent() -> None:
    """`--type Student` is a usage error that names the types."""
    result = CliRunner().invoke(app, ["run", "enrollment", "--type", "Student"])
    assert isinstance(result.exception, UsageError)
    assert str(result.exception) == (
        "--type Student: write StudentEnrollment. Types are StudentEnrollment, TeacherEnrollment, TaEnrollment, DesignerEnrollment, "
        "ObserverEnrollment; a role of the account is taken by its name."
    )


def test_a_section_that_is_not_there() -> None:
    """A section that was named and cannot be read is what is said, not that nothing was named."""
    (finding,) = looked(school(), course=None, named="99")[1]
    assert finding.severity is Severity.WARNING
    assert (
        finding.says == "Section 99 of test cannot be read: /api/v1/sections/99 does not exist, or needs permission to read this section."
    )
    assert finding.advice == "Check its id, or name the course with --course."


def test_ids_are_one_segment_and_told_as_written() -> None:
    """An id of the school's own is escaped in paths, the colon apart, and stands in sentences as it was given."""
    assert segment("sis_user_id:a/b c?") == "sis_user_id:a%2Fb%20c%3F"
    lines, found = looked(school(), course="sis_course_id:BIO 1/2", user="sis_user_id:a/b")
    assert lines[1].path == "/api/v1/courses/sis_course_id:BIO%201%2F2/settings"
    assert lines[3].path == "/api/v1/users/sis_user_id:a%2Fb"
    assert "?user_id=sis_user_id:a%2Fb&" in lines[-1].path
    assert found[0].says.startswith("StudentEnrollment of user sis_user_id:a/b in course sis_course_id:BIO 1/2 at test: ")
