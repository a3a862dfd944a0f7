from __future__ import annotations

from typing import Any

import pytest
from simulated import Simulated, answer, answers, simulated

from probes.simulator.people import DAY_S
from probes.simulator.school import CHARACTERS, School
from probes.simulator.settings import SimulatorSettings

COURSES = "/api/v1/courses?per_page=100"


def ids(query: str = "") -> list[int]:
    return [course["id"] for course in answer(COURSES + query).json()]


def test_same_seed_same_school() -> None:
    """The same settings give the same school; another seed gives another."""
    paths = ("/api/v1/courses/1/users?per_page=100", "/api/v1/courses/3/enrollments?per_page=100", COURSES)
    first, again, other = ([a.json() for a in answers(*paths, settings=SimulatorSettings(seed=seed))] for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_token_owner() -> None:
    """users/self is user 1, with her permissions."""
    told = answer("/api/v1/users/self").json()
    assert (told["id"], told["name"], told["sortable_name"]) == (1, "Tina Teacher", "Teacher, Tina")
    assert told["permissions"]["can_update_name"] is True


def test_all_courses_without_a_filter() -> None:
    """Without a filter the list holds all 26 courses of the user."""
    assert ids() == list(range(1, 27))


def test_type_filter_is_lower_case() -> None:
    """enrollment_type=teacher gives 23 courses; TeacherEnrollment silently matches nothing."""
    assert len(ids("&enrollment_type=teacher")) == 23
    assert ids("&enrollment_type=TeacherEnrollment") == []
    assert ids("&enrollment_role=TaEnrollment") == [10]
    assert ids("&enrollment_type=student") == [11, 23]


def test_state_filter() -> None:
    """state[] filters by workflow state, unpublished included."""
    assert ids("&state[]=unpublished") == [13, 14, 15, 20, 21]
    assert ids("&state[]=completed") == [25, 26]


def test_dated_states_split_the_courses() -> None:
    """active, invited_or_pending and completed are disjoint and cover everything; overrides that have not begun are pending."""
    active, pending, completed = (ids(f"&enrollment_state={s}") for s in ("active", "invited_or_pending", "completed"))
    assert sorted(active + pending + completed) == list(range(1, 27))
    assert pending == [19, 21]
    assert completed == [22, 23, 24, 25, 26]


def test_current_courses_with_students() -> None:
    """The recipe of two calls finds every current and future course taught with at least one student, and one call alone misses one."""
    recipe = "&enrollment_type=teacher&state[]=unpublished&state[]=available&include[]=total_students&include[]=term&include[]=concluded"
    both = [answer(f"{COURSES}{recipe}&enrollment_state={state}").json() for state in ("active", "invited_or_pending")]
    kept = [[c["id"] for c in courses if c["total_students"] > 0 and not c["concluded"]] for courses in both]
    assert kept == [[1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 18], [19]]


def test_includes() -> None:
    """include[] adds term, concluded, total students, sections and teachers; without it they are absent."""
    plain, rich = answers(
        "/api/v1/courses/1",
        "/api/v1/courses/1?include[]=term&include[]=concluded&include[]=total_students&include[]=sections&include[]=teachers",
    )
    added: dict[str, Any] = {key: value for key, value in rich.json().items() if key not in plain.json()}
    assert added["term"]["name"] == "Autumn"
    assert (added["concluded"], added["total_students"]) == (False, 230)
    assert [s["id"] for s in added["sections"]] == [11, 12]
    assert added["teachers"] == [{"id": 1, "display_name": "Tina Teacher"}]


def test_concluded_by_date_or_state() -> None:
    """A course is concluded when its term is over, when its own restricted dates are, or by its state."""
    told = answers(*(f"/api/v1/courses/{n}?include[]=concluded" for n in (1, 22, 24, 26)))
    assert [(a.json()["workflow_state"], a.json()["concluded"]) for a in told] == [
        ("available", False),
        ("available", True),
        ("available", True),
        ("completed", True),
    ]


def test_retired_channels_are_hidden() -> None:
    """Channels list unconfirmed and active ones; retired ones exist and are hidden."""
    school = School(SimulatorSettings())
    person = school.people[7]
    assert [c.state for c in person.channels] == ["active", "retired"]
    assert [c["workflow_state"] for c in answer("/api/v1/users/7/communication_channels").json()] == ["active"]
    assert answer(f"/api/v1/users/{CHARACTERS['retired_channels']}/communication_channels").json() == []


def test_who_never_registered_has_no_login() -> None:
    """A user who never registered has an unconfirmed channel and no login."""
    user = CHARACTERS["unregistered"]
    logins, channels, one = answers(
        f"/api/v1/users/{user}/logins", f"/api/v1/users/{user}/communication_channels", "/api/v1/users/2/logins"
    )
    assert logins.json() == []
    assert [(c["type"], c["workflow_state"]) for c in channels.json()] == [("email", "unconfirmed")]
    assert one.json()[0]["unique_id"] == "s00002"


def test_observees() -> None:
    """An observer's observees are the linked students."""
    assert [u["id"] for u in answer(f"/api/v1/users/{CHARACTERS['observer']}/observees").json()] == [2]


def test_course_users_once_each() -> None:
    """Users of a course come once each, filtered by type, with enrolments when asked for."""
    users = answer("/api/v1/courses/2/users?per_page=100&include[]=enrollments&include[]=email").json()
    assert len(users) == len({u["id"] for u in users})
    assert all(u["enrollments"] for u in users)
    teachers = answer("/api/v1/courses/2/users?enrollment_type[]=teacher").json()
    assert [u["id"] for u in teachers] == [1]
    assert "email" not in teachers[0]


def test_account_and_terms() -> None:
    """accounts/self is the root account; terms come in an envelope, past, current and future."""
    account, terms = answers("/api/v1/accounts/self", "/api/v1/accounts/1/terms")
    assert (account.json()["id"], account.json()["parent_account_id"]) == (1, None)
    names = [(t["name"], t["start_at"]) for t in terms.json()["enrollment_terms"]]
    assert names == [
        ("Default Term", None),
        ("Spring", "2026-04-16T08:00:00Z"),
        ("Autumn", "2026-09-03T08:00:00Z"),
        ("Next Spring", "2027-01-11T08:00:00Z"),
    ]


def test_search_users() -> None:
    """Account users are found by part of their name."""
    assert [u["name"] for u in answer("/api/v1/accounts/1/users?search_term=observer").json()] == ["Olaf Observer", "Uma Observer"]


def test_lists_of_a_course() -> None:
    """Sections, assignments, submissions, analytics and account courses answer with what a course holds."""
    sections, assignments, submissions, activity, summaries, courses, one = answers(
        "/api/v1/courses/1/sections",
        "/api/v1/courses/1/assignments?per_page=100",
        "/api/v1/courses/1/students/submissions?per_page=100",
        "/api/v1/courses/1/analytics/activity",
        "/api/v1/courses/1/analytics/student_summaries",
        "/api/v1/accounts/1/courses?per_page=100",
        "/api/v1/sections/12",
    )
    assert [s["id"] for s in sections.json()] == [11, 12]
    assert [len(a.json()) for a in (assignments, submissions, activity, summaries, courses)] == [12, 100, 120, 10, 27]
    assert one.json()["course_id"] == 1
    assert (
        answer("/api/v1/courses/1/analytics/activity", SimulatorSettings(analytics=False)).headers["content-type"].startswith("text/html")
    )


def test_apps_of_the_account() -> None:
    """`app_center/apps` of an account pages as that of a course: 72 by default and at most."""
    told = answers(*(f"/api/v1/accounts/self/app_center/apps{query}" for query in ("", "?per_page=100", "?per_page=10")))
    assert [(one.status_code, len(one.json())) for one in told] == [(200, 72), (200, 72), (200, 10)]


@pytest.mark.parametrize(
    ("query", "body", "marks"),
    [
        ("query Root { __typename }", {"data": {"__typename": "Query"}}, "o=graphql;n=execute;ge=t;on=Root;"),
        (
            "{ course(id: 1) { name } }",
            {"errors": [{"message": "Field 'course' doesn't exist on type 'Query'", "path": ["query", "course"]}]},
            "o=graphql;n=execute;ge=f;",
        ),
        ("", {"errors": [{"message": "No query string was present"}]}, "o=graphql;n=execute;ge=f;"),
    ],
)
def test_graphql(query: str, body: Any, marks: str) -> None:
    """POST /api/graphql answers 200, errors too, through the same throttle; GET finds nothing there."""

    async def talk(simulator: Simulated) -> tuple[Any, Any]:
        return await simulator.client.post("/api/graphql", json={"query": query}), await simulator.get("/api/graphql")

    told, got = simulated(talk)
    assert (told.status_code, told.json(), got.status_code) == (200, body, 404)
    assert marks in told.headers["x-canvas-meta"]
    assert {"x-request-cost", "x-rate-limit-remaining"} <= set(told.headers)


def test_a_bigger_school() -> None:
    """The number of courses and students follows the settings."""
    settings = SimulatorSettings(courses=40, students=50)
    assert len(answer("/api/v1/courses?per_page=100", settings).json()) == 40
    assert School(settings).of_course[1][-1].user_id == 51
    assert School(SimulatorSettings(epoch_s=0.0)).iso(DAY_S) == "1970-01-02T00:00:00Z"
