"""`probes roster` against a course on a real server: who is in it, what may not be read, what is not whole."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pytest_httpserver import HTTPServer
from typer.testing import CliRunner
from werkzeug import Request, Response

from probes.cli import app
from probes.errors import ProbesError
from probes.jobs.roster import csv_text
from probes.roster import GIVE_UP_AFTER
from probes.runs import Run

SCHEMAS = Path(__file__).parent.parent / "probes" / "schemas"
FORBIDDEN = {"status": "unauthorized", "errors": [{"message": "user not authorized to perform that action"}]}

COURSE = {
    "id": 7,
    "name": "=Physics",
    "course_code": "P1",
    "workflow_state": "available",
    "concluded": False,
    "term": {"id": 1, "name": "Autumn"},
}
SECTIONS = [{"id": 70, "name": "Morning"}, {"id": 71, "name": "Evening"}]
USERS = [
    {"id": 1, "name": "Ada", "sortable_name": "A", "login_id": "ada", "sis_user_id": "s1", "email": "ada@x.example"},
    {"id": 2, "name": "+Bob", "sortable_name": "B", "login_id": "bob", "sis_user_id": None, "email": None},
    {"id": 10000000000003, "name": "Cy", "sortable_name": "C", "login_id": "cy", "sis_user_id": None, "email": None},
]


def enrollment(number: int, user: int, kind: str, state: str, section: int) -> dict[str, Any]:
    return {
        "id": number,
        "user_id": user,
        "type": kind,
        "role": kind,
        "enrollment_state": state,
        "course_section_id": section,
        "user": {"id": user, "name": f"user {user}"},
    }


ENROLLMENTS = [
    enrollment(100, 1, "TeacherEnrollment", "active", 70),
    enrollment(101, 2, "StudentEnrollment", "active", 70),
    enrollment(102, 2, "StudentEnrollment", "inactive", 71),
    enrollment(103, 10000000000003, "StudentEnrollment", "invited", 71),
    enrollment(104, 9, "StudentEnrollment", "creation_pending", 71),
]
CHANNELS = {
    "1": [{"id": 500, "type": "email", "address": "ada@x.example", "workflow_state": "active", "position": 1}],
    "2": [
        {"id": 501, "type": "email", "address": "bob@x.example", "workflow_state": "unconfirmed", "position": 1},
        {"id": 502, "type": "sms", "address": "+4670", "workflow_state": "active", "position": 2},
    ],
    "10000000000003": [],
    "9": [
        {"id": 503, "type": "email", "address": "nine@x.example", "workflow_state": "active", "position": 1},
        {"id": 504, "type": "push", "address": None, "workflow_state": "active", "position": 2},
    ],
}


class School:
    """A course on a server; `special` answers a path in place of the course's own data."""

    def __init__(self, server: HTTPServer, out: Path) -> None:
        self.server = server
        self.out = out
        self.special: dict[str, Callable[[Request], Response]] = {}
        self.lists: dict[str, Any] = {
            "/api/v1/courses/7": COURSE,
            "/api/v1/courses/7/sections": SECTIONS,
            "/api/v1/courses/7/users": USERS,
            "/api/v1/courses/7/enrollments": ENROLLMENTS,
            **{f"/api/v1/users/{user}/communication_channels": found for user, found in CHANNELS.items()},
        }
        server.expect_request(re.compile(".*")).respond_with_handler(self.answer)

    def answer(self, request: Request) -> Response:
        """The data of a path, two items a page."""
        if request.path in self.special:
            return self.special[request.path](request)
        found = self.lists.get(request.path)
        if found is None:
            return Response(
                json.dumps({"errors": [{"message": "The specified resource does not exist."}]}), 404, content_type="application/json"
            )
        headers = {}
        if isinstance(found, list):
            page = int(request.args.get("page", 1))
            if page * 2 < len(found):
                headers["Link"] = f'<{request.path}?page={page + 1}&per_page=2>; rel="next"'
            found = found[(page - 1) * 2 : page * 2]
        return Response(json.dumps(found), content_type="application/json", headers=headers)

    def forbid(self, *paths: str) -> None:
        """Answers these paths as Canvas does without the permission."""
        for path in paths:
            self.special[path] = lambda _request: Response(json.dumps(FORBIDDEN), 401, content_type="application/json")

    def __call__(self, *words: str, course: str = "7") -> tuple[int, str, str]:
        """(exit code, stdout, what was said)."""
        result = CliRunner().invoke(app, ["roster", "--course", course, *words, "--out", str(self.out)])
        if isinstance(result.exception, ProbesError):
            return int(result.exception.exit_code), result.stdout, result.stderr + str(result.exception)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.stdout, result.stderr

    @property
    def run(self) -> Run:
        """The run that was kept."""
        return Run.open(next(self.out.iterdir()))


@pytest.fixture
def school(httpserver: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> School:
    monkeypatch.setenv("CANVAS_API_URL", httpserver.url_for("").rstrip("/"))
    monkeypatch.setenv("CANVAS_API_TOKEN", "the-token")
    return School(httpserver, tmp_path / "results")


def persons(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_everybody_is_there(school: School) -> None:
    """All users across pages, also one whom only the enrolments name, with states, sections and channels."""
    code, out, said = school()
    found = persons(out)
    assert (code, said) == (0, f"4 users, 3 of them students. Calls are kept in {school.run.folder}.\n")
    assert [(one["user_id"], one["name"], one["student"]) for one in found] == [
        (1, "Ada", False),
        (2, "+Bob", True),
        (10000000000003, "Cy", True),
        (9, "user 9", True),
    ]
    assert found[1] == {
        "user_id": 2,
        "name": "+Bob",
        "sortable_name": "B",
        "login_id": "bob",
        "sis_user_id": None,
        "email": None,
        "roles": "StudentEnrollment",
        "student": True,
        "states": "active, inactive",
        "sections_of_user": "Morning, Evening",
        "channels_of_user": "email bob@x.example (unconfirmed), sms +4670 (active)",
        "active_email": False,
        "enrollments": found[1]["enrollments"],
        "channels": [
            {
                "user_id": 2,
                "name": "+Bob",
                "type": "email",
                "address": "bob@x.example",
                "state": "unconfirmed",
                "position": 1,
                "channel_id": 501,
            },
            {"user_id": 2, "name": "+Bob", "type": "sms", "address": "+4670", "state": "active", "position": 2, "channel_id": 502},
        ],
    }
    assert [(one["state"], one["section"]) for one in found[1]["enrollments"]] == [("active", "Morning"), ("inactive", "Evening")]
    assert [one["active_email"] for one in found] == [True, False, False, True]


def test_calls_are_named_and_kept(school: School) -> None:
    """Each request has its line; channels of all users are one kind of call."""
    school()
    names = [one.call for one in school.run.observations()]
    assert len(names) == len(school.server.log)
    assert names.count("GET /api/v1/users/:id/communication_channels?per_page=100") == 4
    assert school.run.manifest["command"] == ["roster", "--course", "7"]


def test_a_workbook(school: School, tmp_path: Path) -> None:
    """--xlsx writes sheets About, Users, Students, Enrollments, Channels, Sections; names that look like formulas stay text."""
    path = tmp_path / "roster.xlsx"
    code, out, said = school("--xlsx", str(path))
    assert (code, out) == (0, f"{path}\n")
    assert said == f"4 users, 3 of them students, in {path}. Calls are kept in {school.run.folder}.\n"
    with zipfile.ZipFile(path) as archive:
        book = archive.read("xl/workbook.xml").decode()
        sheets = [archive.read(f"xl/worksheets/sheet{number}.xml").decode() for number in range(1, 7)]
    assert re.findall(r'<sheet name="(\w+)"', book) == ["About", "Users", "Students", "Enrollments", "Channels", "Sections"]
    assert [sheet.count("<row ") for sheet in sheets] == [12, 5, 4, 6, 6, 3]
    assert all("<f>" not in sheet for sheet in sheets)
    assert "<t>=Physics</t>" in sheets[0]
    assert "<v>10000000000003</v>" in sheets[1]


def test_csv(school: School) -> None:
    """--csv is one row a user, harmless to a spreadsheet."""
    code, out, _ = school("--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0
    assert [(row["user_id"], row["name"], row["active_email"]) for row in rows] == [
        ("1", "Ada", "True"),
        ("2", "'+Bob", "False"),
        ("10000000000003", "Cy", "False"),
        ("9", "user 9", "True"),
    ]


def test_the_document_keeps_its_schema(school: School) -> None:
    """--json is one document that its published schema accepts."""
    code, out, _ = school("--json")
    document = json.loads(out)
    jsonschema.validate(document, json.loads((SCHEMAS / "roster-1.json").read_text(encoding="utf-8")))
    assert (code, document["complete"], len(document["users"]), document["unknown"]) == (0, True, 4, [])


@pytest.mark.parametrize("status", [403, 404])
def test_channels_that_nobody_may_read(school: School, status: int) -> None:
    """Without the permission, be it told by 403 or by 404, channels are unknown, not empty; after five users in a row no more are asked."""
    school.lists["/api/v1/courses/7/users"] = [{"id": number, "name": f"u{number}"} for number in range(1, 40)]
    paths = [f"/api/v1/users/{number}/communication_channels" for number in range(1, 40)]
    for path in paths:
        school.lists.pop(path, None)  # what the school does not have is answered with 404
    school.forbid(*(paths if status == 403 else ()))
    code, out, said = school()
    found = persons(out)
    assert code == 0
    assert {(one["channels_of_user"], one["active_email"]) for one in found} == {("unknown", None)}
    assert [one["channels"] for one in found] == [None] * len(found)
    asked = sum("communication_channels" in one.path for one in school.run.observations())
    assert GIVE_UP_AFTER <= asked <= GIVE_UP_AFTER + 4
    assert said.splitlines()[0] == (
        "channels: unknown: needs permission to see these users' communication channels (an account role; teachers usually lack it). "
        "Given up after 5 users in a row."
    )


def test_channels_of_one_user_that_may_not_be_read(school: School) -> None:
    """One user's channels may be unknown while the others' are read; one without an address is told without."""
    school.forbid("/api/v1/users/2/communication_channels")
    code, out, said = school()
    assert code == 0
    told = [one["channels_of_user"] for one in persons(out)]
    assert told == ["email ada@x.example (active)", "unknown", "", "email nine@x.example (active), push (active)"]
    assert said.splitlines()[0] == "channels: unknown: needs permission to see them, for 1 of 4 users."


def test_lists_that_may_not_be_read(school: School) -> None:
    """Without permission for course, sections and enrolments these are unknown; enrolments then come from the users."""
    school.forbid("/api/v1/courses/7", "/api/v1/courses/7/sections", "/api/v1/courses/7/enrollments")
    school.lists["/api/v1/courses/7/users"] = [dict(USERS[0], enrollments=[ENROLLMENTS[0]])]
    code, out, said = school()
    assert code == 0
    assert [(one["name"], one["roles"], one["sections_of_user"]) for one in persons(out)] == [("Ada", "TeacherEnrollment", "70")]
    assert said.splitlines()[:3] == [
        "course: unknown: needs permission to see the course.",
        "sections: unknown: needs permission to see the course.",
        "enrolments: unknown: needs permission to see the list of users in the course (read_roster).",
    ]


def test_a_list_that_breaks(school: School, tmp_path: Path) -> None:
    """A list that cannot be read to its end exits 1; what there is was written, and says so."""
    school.special["/api/v1/courses/7/enrollments"] = lambda _request: Response("oops", 500)
    path = tmp_path / "roster.xlsx"
    code, _, said = school("--xlsx", str(path), "--quiet")
    assert code == 1
    assert said == ("The roster is not whole: enrolments: not whole: Page 1 failed, server_error (500); nothing was read.")
    with zipfile.ZipFile(path) as archive:
        assert "not whole" in archive.read("xl/worksheets/sheet1.xml").decode()


def test_channels_that_break(school: School) -> None:
    """A user's channels that cannot be read for another reason are unknown, and the roster is not whole."""
    school.special["/api/v1/users/2/communication_channels"] = lambda _request: Response("oops", 502)
    code, out, said = school("--quiet")
    assert (code, [one["active_email"] for one in persons(out)]) == (1, [True, None, False, True])
    assert said == "The roster is not whole: channels: not read for 1 of 4 users (gateway_error)."


@pytest.mark.parametrize("most", [1, 4, 7, 9])
def test_a_ceiling_stops(school: School, tmp_path: Path, most: int) -> None:
    """A spent max_requests exits 4 with what was read until then, and the run says so."""
    url = school.server.url_for("").rstrip("/")
    config = tmp_path / "probes.toml"
    config.write_text(f'[instances.beta]\nurl = "{url}"\nmax_requests = {most}\n', encoding="utf-8")
    code, out, said = school("--config", str(config), "--quiet", "--json")
    document = json.loads(out)
    assert (code, document["complete"]) == (4, False)
    assert said == f"Instance 'beta' allows max_requests = {most} a run, and that many were sent."
    assert school.run.manifest["ended"] == f"guard: {said}"


def test_no_such_course(school: School) -> None:
    """A course that does not exist exits 1 with one sentence."""
    assert school(course="8") == (1, "", "Course 8 does not exist on 'default', or your user may not know of it (404).")


@pytest.mark.parametrize(("counted", "told"), [(3, True), (2, False), (1, False), (None, False)])
def test_fewer_students_than_the_course_counts(school: School, counted: int | None, told: bool) -> None:
    """Whom a token may not see Canvas leaves out without a word: the course's own count of students shows it."""
    school.lists["/api/v1/courses/7"] = {**COURSE, "total_students": counted}
    code, _, said = school()
    words = "students: 2 active or invited ones are listed, and the course counts 3: this token sees the people of its own sections only"
    assert (code, words in said) == (0, told)


def test_a_course_by_an_id_of_the_schools_own(school: School) -> None:
    """An id with a slash and a blank is one segment of the path, escaped."""
    code, _, said = school(course="sis_course_id:A/B 1")
    assert (code, said.startswith("Course sis_course_id:A/B 1 does not exist on 'default'")) == (1, True)
    (asked,) = school.run.observations()
    assert asked.path.startswith("/api/v1/courses/sis_course_id:A%2FB%201?")


def test_a_refused_token(school: School) -> None:
    """A refused token exits 5; with --json after the document, which says so; no workbook is written over an earlier one."""
    school.special["/api/v1/courses/7"] = lambda _request: Response("{}", 401, headers={"WWW-Authenticate": "Bearer"})
    code, out, said = school("--quiet")
    assert (code, out) == (5, "")
    assert (school.run.folder / "report.html").is_file()
    assert said == "Instance 'default' refused the token (401): check it; probes diagnose says more."
    book = school.out.parent / "roster.xlsx"
    book.write_text("an earlier day")
    code, out, said = school("--json", "--quiet", "--xlsx", str(book))
    assert (code, json.loads(out)["not_whole"], json.loads(out)["xlsx"]) == (5, [said], None)
    assert book.read_text() == "an earlier day"


def test_a_course_that_fails(school: School) -> None:
    """A course that cannot be read exits 1."""
    school.special["/api/v1/courses/7"] = lambda _request: Response("{}", 500)
    assert school()[::2] == (1, "Course 7 of 'default' could not be read: server_error (500). Ask why: probes diagnose -i default.")
    school.special["/api/v1/courses/7"] = lambda _request: Response("[]", content_type="application/json")
    assert school()[2].startswith("Course 7 of 'default' could not be read: what came (200) is no course.")


@pytest.mark.parametrize(
    ("course", "words", "message"),
    [
        ("7/users", [], "--course 7/users: give the course's number, or sis_course_id:ITS-SIS-ID."),
        ("7", ["--xlsx", "/no/such/folder/a.xlsx"], "--xlsx /no/such/folder/a.xlsx: there is no folder /no/such/folder."),
        ("7", ["--csv", "--xlsx", "a.xlsx"], "--csv and --xlsx FILE are two forms of the same: give one of them."),
        ("7", ["-i", "nobody"], "There is no instance 'nobody'"),
    ],
)
def test_bad_words(school: School, course: str, words: list[str], message: str) -> None:
    """Usage errors exit 2 before anything is asked."""
    code, _, said = school(*words, course=course)
    assert (code, said.startswith(message), school.server.log) == (2, True, [])


def test_another_dialect(school: School, tmp_path: Path) -> None:
    """The roster knows Canvas only."""
    config = tmp_path / "probes.toml"
    config.write_text('[instances.x]\nurl = "https://x.example"\ndialect = "gitlab"\n', encoding="utf-8")
    assert school("--config", str(config))[::2] == (2, "roster knows Canvas only, and instance 'x' speaks gitlab.")


def test_sections_of_one_name(school: School) -> None:
    """Sections that have the same name are told apart by their ids; a name that only one has stays alone."""
    same = [{"id": 70, "name": "Morning"}, {"id": 71, "name": "Morning"}, {"id": 72, "name": "Evening"}]
    school.lists["/api/v1/courses/7/sections"] = same
    school.lists["/api/v1/courses/7/enrollments"] = [*ENROLLMENTS, enrollment(105, 2, "StudentEnrollment", "active", 72)]
    bob = persons(school()[1])[1]
    assert bob["sections_of_user"] == "Morning (70), Morning (71), Evening"
    assert [one["section"] for one in bob["enrollments"]] == ["Morning (70)", "Morning (71)", "Evening"]


def test_no_rows_no_csv() -> None:
    """A course without users is an empty CSV."""
    assert csv_text([]) == ""
