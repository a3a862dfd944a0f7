from __future__ import annotations

import re
from pathlib import Path

import pytest

from probes.calls import Call, asked_by, parse, parse_lines, template
from probes.errors import UsageError
from probes.jobs.calls import calls_of


@pytest.mark.parametrize(
    ("text", "call"),
    [
        ("GET /api/v1/users/self", Call("GET", "/api/v1/users/self")),
        ("  /api/v1/users/self ", Call("GET", "/api/v1/users/self")),
        ("get /api/v1/courses?per_page=100&state[]=available", Call("GET", "/api/v1/courses?per_page=100&state[]=available")),
        ("3 GET /api/v1/courses", Call("GET", "/api/v1/courses", weight=3.0)),
        ("0.5 /a", Call("GET", "/a", weight=0.5)),
        ('POST /a {"user": {"id": 2}}', Call("POST", "/a", {"user": {"id": 2}})),
        ("PUT /a [1, 2]", Call("PUT", "/a", [1, 2])),
        (
            "DELETE /api/v1/courses/1/enrollments/2?task=inactivate",
            Call("DELETE", "/api/v1/courses/1/enrollments/2?task=inactivate"),
        ),
        ("DELETE /api/v1/courses/1/enrollments/2", Call("DELETE", "/api/v1/courses/1/enrollments/2")),
        ("DELETE /api/v1/groups/1?task=odd", Call("DELETE", "/api/v1/groups/1?task=odd")),
        ("GET /api/v1/courses/1/enrollments/2?task=odd", Call("GET", "/api/v1/courses/1/enrollments/2?task=odd")),
    ],
)
def test_parse(text: str, call: Call) -> None:
    """A call is read with its weight and its body; GET is the default."""
    assert parse(text) == call


METHODS = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "'' is not a call: write it as 'GET /api/v1/users/self'."),
        ("GET", "'GET' is not a call: write it as 'GET /api/v1/users/self'."),
        ("GET https://a.example/x", "'GET https://a.example/x' is not a call: write it as 'GET /api/v1/users/self'."),
        ("GET //evil.example/x", "'GET //evil.example/x' is not a call: write it as 'GET /api/v1/users/self'."),
        ("GET /a b", "'GET /a b' is not a call: write it as 'GET /api/v1/users/self'."),
        ("-1 GET /a", "'-1 GET /a' is not a call: write it as 'GET /api/v1/users/self'."),
        ("FETCH /a", f"'FETCH' in 'FETCH /a' is not a method: use one of {METHODS}."),
        ("0 GET /a", "The weight in '0 GET /a' must be above 0."),
        ('POST /a {"x": }', "The body behind the path in 'POST /a {\"x\": }' is not JSON."),
    ],
)
def test_what_is_no_call(text: str, says: str) -> None:
    """What is not a call is told in one sentence that repeats it."""
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert str(caught.value) == says


@pytest.mark.parametrize(
    "text",
    [
        "DELETE /api/v1/courses/1/enrollments/2?task=remove",
        "DELETE /api/v1/courses/1/enrollments/2?task=",
        "DELETE /api/v1/courses/1/enrollments/2?task=Inactivate",
        "DELETE /api/v1/courses/1/enrollments/2?task=inactivate&task=remove",
        "DELETE /api/v1/courses/1/enrollments/2/?task=remove",
        "DELETE /api/v1/courses/1/enrollments/2?x=1;task=remove",
        "DELETE /api/v1/courses/1/enrollments/2?t%61sk=remove",
        "DELETE /api/v1/courses/1/%65nrollments/2?task=remove",
        "DELETE /api/v1/courses/1/enrollments/2.json?task=remove#x",
        'DELETE /api/v1/courses/1/enrollments/2 {"task": "remove"}',
        'DELETE /api/v1/courses/1/enrollments/2 {"task": ["delete"]}',
    ],
)
def test_a_task_that_canvas_would_take_for_conclude(text: str) -> None:
    """DELETE enrolment with an unknown task is refused: Canvas would silently conclude the enrolment."""
    with pytest.raises(UsageError, match=r"is unknown to Canvas, which would conclude the enrolment: use one of conclude, deac.*, inac"):
        parse(text)


@pytest.mark.parametrize("parameter", ["Task=inactivate", "task[]=inactivate", "TASK=delete", "task[x]=delete"])
def test_a_task_that_canvas_would_not_see(parameter: str) -> None:
    """A parameter that only looks like task is refused: Canvas would see none, and conclude."""
    key = parameter.partition("=")[0]
    with pytest.raises(UsageError, match=rf"'{re.escape(key)}' in .* is no task to Canvas, which would conclude the enrolment"):
        parse(f"DELETE /api/v1/courses/1/enrollments/2?{parameter}")


def test_a_post_that_rails_takes_for_a_delete() -> None:
    """`_method=DELETE` makes a POST a DELETE, and its task is looked at."""
    for text in ("?_method=delete&task=suspend", '?task=suspend {"_method": "DELETE"}'):
        with pytest.raises(UsageError, match=r"task=suspend in .* is unknown to Canvas"):
            parse(f"POST /api/v1/courses/1/enrollments/2{text}")
    assert parse("POST /api/v1/courses/1/enrollments/2?task=suspend").writes


@pytest.mark.parametrize("task", ["conclude", "delete", "inactivate", "deactivate"])
def test_tasks_that_canvas_knows(task: str) -> None:
    """The four tasks that Canvas knows pass, in the query and in the body."""
    assert parse(f"DELETE /api/v1/courses/1/enrollments/2?task={task}").writes
    assert parse(f'DELETE /api/v1/courses/1/enrollments/2 {{"task": "{task}"}}').body == {"task": task}


def test_names_and_writes() -> None:
    """Observations name a call by method and path; only GET, HEAD and OPTIONS write nothing."""
    assert parse("2 /a?b=1").name == "GET /a?b=1"
    assert [parse(f"{method} /a").writes for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")] == [False] * 3 + [
        True
    ] * 4


def test_a_calls_file() -> None:
    """One call a line; empty lines and comments are left out; a mistake is told with file and line; no call at all is a mistake."""
    assert parse_lines(["# mix\n", "\n", "3 GET /a\n", " /b\n"], "calls.txt") == [Call("GET", "/a", weight=3.0), Call("GET", "/b")]
    with pytest.raises(UsageError) as caught:
        parse_lines(["/a\n", "GET b\n"], "calls.txt")
    assert str(caught.value) == "calls.txt, line 2: 'GET b' is not a call: write it as 'GET /api/v1/users/self'."
    with pytest.raises(UsageError) as caught:
        parse_lines(["# none\n"], "calls.txt")
    assert str(caught.value) == "calls.txt holds no call: write one a line, as 'GET /api/v1/users/self'."


def test_a_calls_file_with_a_byte_order_mark(tmp_path: Path) -> None:
    """A byte order mark, which some editors put before UTF-8, is no part of the first call."""
    path = tmp_path / "calls.txt"
    path.write_text("GET /a\n2 GET /ä\n", encoding="utf-8-sig")
    assert [call.name for call in calls_of((), path)] == ["GET /a", "GET /ä"]


@pytest.mark.parametrize(
    ("path", "alike"),
    [
        ("/api/v1/users/self", "/api/v1/users/self"),
        ("/api/v1/users/12/profile", "/api/v1/users/:id/profile"),
        ("/api/v1/courses/10000~7/users", "/api/v1/courses/:id/users"),
        ("/api/v1/courses/10000%7E7/users?per_page=100", "/api/v1/courses/:id/users?per_page=100"),
        (
            "/api/v1/courses/sis_course_id:MA-1/enrollments?user_id=7&state[]=active",
            "/api/v1/courses/:id/enrollments?user_id=:id&state[]=active",
        ),
        ("/api/v1/courses/1/students/submissions?student_ids[]=all", "/api/v1/courses/:id/students/submissions?student_ids[]=all"),
        ("/api/v1/courses/1/students/submissions?student_ids%5B%5D=5", "/api/v1/courses/:id/students/submissions?student_ids%5B%5D=:id"),
        ("/api/v1/courses?page=3&grid=4", "/api/v1/courses?page=3&grid=:id"),
    ],
)
def test_template(path: str, alike: str) -> None:
    """Calls that differ in ids only have their template in common: sizes, pages and words stay."""
    assert template(Call("GET", path)) == f"GET {alike}"


def test_a_call_of_a_kind() -> None:
    """A call that counts as one of many is named by its kind and still asks its own path."""
    call = Call("GET", "/api/v1/users/7", alike="GET /api/v1/users/:id")
    assert (call.name, call.path) == ("GET /api/v1/users/:id", "/api/v1/users/7")


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("GET /api/v1/users/self", "--call 'GET /api/v1/users/self'"),
        ("GET /api/v1/users?search_term=O'Brien", """--call 'GET /api/v1/users?search_term=O'"'"'Brien'"""),
        ("GET /api/v1/users/:id/enrollments", "--call '...'"),
        ("GET /api/v1/courses?ids[]=:id", "--call '...'"),
        ("GET /api/v1/courses/:idle", "--call 'GET /api/v1/courses/:idle'"),
        ("PUT /api/v1/users/7", "--call '...'"),
        ("mix of 2 calls: 75 % GET /a, 25 % GET /b", "--call '...'"),
    ],
)
def test_how_a_command_asks_again(name: str, option: str) -> None:
    """A call that reads is named as it is, ready to be copied; there is no one call to name for a kind, a mix, or a call that writes."""
    assert asked_by(name) == option


def test_bytes_that_are_no_text_are_no_call() -> None:
    """A byte of a command line that is not UTF-8 is refused in words before anything is sent."""
    with pytest.raises(UsageError, match=r"^'GET /a\?x=.*udcff' is not UTF-8 text: write other bytes as %FF\.$"):
        parse("GET /a?x=\udcff")
