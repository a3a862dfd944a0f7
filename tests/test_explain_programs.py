"""URLs that a program puts together, and the bodies of calls that write: what `probes explain` reads of them, and what it says."""

from __future__ import annotations

import time

import pytest

from probes.explain import explain, told
from probes.explain.paste import read
from probes.explain.rules import Weight

HOST = "https://s.instructure.com"
API = f"{HOST}/api/v1"
USERS = f"{API}/courses/{{id}}/users?per_page=100"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        (f'Web.Contents("{API}/courses/" & Number.ToText(id) & "/users?per_page=100")', USERS),
        (f'Web.Contents("{HOST}", [RelativePath="/api/v1/courses/" & id & "/users", Query=[per_page="100"]])', USERS),
        (f'Web.Contents("{API}/", [RelativePath="courses", Query=[#"include[]"="term"]])', f"{API}/courses?include[]=term"),
        (f'GET(paste0("{API}/courses/", id, "/users"), query = list(per_page = 100))', USERS),
        (f'base <- "{API}/"; GET(paste0(base, "courses"), query = list(`state[]` = c("available", "unpublished")))', None),
        (f'request("{API}") |> req_url_path_append("courses", id, "users") |> req_url_query(per_page = 100)', USERS),
        (f'BASE = "{API}"\nrequests.get(f"{{BASE}}/courses/{{id}}/users", params={{"per_page": 100}})', USERS),
        (f'HOST = "{HOST}"\nAPI = HOST + "/api/v1"\nget(API + "/courses/" + str(id) + "/users?per_page=100")', USERS),
        (f'const base = "{API}"; fetch(`${{base}}/courses/{{id}}/users?per_page=100`)', USERS),
        (f'$base = "{API}"\nInvoke-RestMethod "$base/courses/{{id}}/users?per_page=100"', USERS),
        ('get(f"{BASE}/courses/{id}/users", params={"per_page": 100})', "/courses/{id}/users?per_page=100"),
        (
            f'requests.get("{API}/courses", params={{"include[]": ["term", "teachers"]}})',
            f"{API}/courses?include[]=term&include[]=teachers",
        ),
        (f'requests.get("{API}/courses", params=dict(per_page=100))', f"{API}/courses?per_page=100"),
        (f'requests.get("{API}/courses", params={{"per_page": size}})', f"{API}/courses?per_page=%7Bsize%7D"),
        (f'requests.get("{API}/users", params={{"favorites": True, "page": 2}})', f"{API}/users?favorites=True&page=2"),
        (f'requests.get("{API}/courses", params={{"include[]": ["term", ""]}})', f"{API}/courses?include[]=term"),
        (f'base = "{API}/courses?search_term=\\d"; get(f"{{base}}&per_page=100")', f"{API}/courses?search_term="),
    ],
)
def test_a_program_puts_its_url_together(text: str, url: str | None) -> None:
    """Strings are joined where a program joins them; what it knows only when it runs stands in braces."""
    assert read(text).url == (url or f"{API}/courses?state[]=available&state[]=unpublished")


def test_variables_are_not_judged() -> None:
    """A size, a state or a type that a program puts in is nobody's mistake, nor is an id."""
    text = f'get("{API}/courses/" + str(cid) + "/enrollments", params={{"per_page": size, "state[]": state}})'
    explanation = explain(text)
    assert [remark.kind for remark in explanation.remarks] == ["within_text"]
    assert told(explanation).splitlines()[2] == "Nothing is wrong with what was read."


def test_a_prefix_that_a_variable_may_hold() -> None:
    """Behind a variable for the host /api/v1 is written, and nothing is called wrong that may stand in the variable."""
    explanation = explain("{{baseUrl}}/courses?per_page=100")
    assert explanation.urls == ["https://YOUR-SCHOOL.instructure.com/api/v1/courses?per_page=100"]
    assert [(remark.kind, remark.weight) for remark in explanation.remarks] == [
        ("variable_host", Weight.INFO),
        ("prefix_untold", Weight.INFO),
    ]


TOKEN = f"7~{'aB3' * 20}"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (f'requests.get("{API}/users/self", headers={{"Authorization": "Bearer {TOKEN}"}})', "token_in_text"),
        (f'requests.get("{API}/users/self", headers={{"Authorization": "Bearer 0123456789abcdef0123"}})', "token_in_text"),
        (f"GET /api/v1/users/self HTTP/1.1\nHost: s.instructure.com\nAuthorization: Bearer {TOKEN}", "token_in_text"),
        (f'requests.get("{API}/users/self", headers={{"Authorization": "Bearer " + token}})', None),
        (HOST, "nothing_asked"),
        (API, "nothing_asked"),
        (f"{API}/courses.json", "no_page_size"),
        (f"{API}/courses/1/analytics/student_summaries", "no_page_size"),
        (f"{API}/courses/1/analytics/assignments", None),
        (f"{API}/accounts/1/courses?enrollment_type=teacher&per_page=100", "brackets"),
        (f"{API}/courses?enrollment_type=teacher,ta&per_page=100", "enrollment_type"),
        (f"{API}/courses/sis_course_id:A/B-12/tabs?per_page=100", "slash_in_id"),
        (f"{API}/courses/sis_course_id:A/tabs?per_page=100", None),
    ],
)
def test_a_mistake_by_its_kind(text: str, kind: str | None) -> None:
    """What is wrong is named once, and nothing else is."""
    assert [remark.kind for remark in explain(text).remarks if remark.weight is not Weight.INFO] == ([kind] if kind else [])


@pytest.mark.parametrize(
    ("asked", "right"),
    [
        ("enrollments?enrollment_type=student", "enrollments?type[]=StudentEnrollment"),
        ("enrollments?enrollment_type[]=TaEnrollment", "enrollments?type[]=TaEnrollment"),
        ("users?type[]=StudentEnrollment", "users?enrollment_type[]=student"),
        ("users?role=teacher", "users?enrollment_type[]=teacher"),
    ],
)
def test_a_filter_by_the_other_lists_name(asked: str, right: str) -> None:
    """Enrolments take type[] in the long form, users enrollment_type[] in the short: Canvas ignores the other's name, so it is named."""
    explanation = explain(f"{API}/courses/1/{asked}&per_page=100")
    assert [remark.kind for remark in explanation.remarks] == ["type_name"]
    assert explanation.urls == [f"{API}/courses/1/{right}&per_page=100"]


def test_what_has_no_right_url_yet() -> None:
    """A host alone is no call, and of two types one has to be chosen."""
    assert explain(API).urls == explain(f"{API}/courses?enrollment_type=teacher,ta").urls == []


ENROL = f"curl -H 'Authorization: Bearer $T' {API}/courses/1/enrollments"
IMPORT = f"curl -H 'Authorization: Bearer $T' '{API}/accounts/1/sis_imports?import_type=instructure_csv'"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{ENROL} -d 'enrollment[user_id]=5' -d 'enrollment[notify]=true'", []),
        (f"{ENROL} -d 'enrollment[user_id]=5'", ["no_mail"]),
        (f"{ENROL} -d 'enrollment[user_id]=5' -d notify=true", ["outside_enrollment"]),
        (f"{ENROL} -d 'enrollment[user_id]=5&enrollment[notify]=0&enrollment[notify]=true'", []),
        (f"{ENROL} -d 'enrollment[user_id]=5&enrollment[notify]=true&enrollment[notify]=0'", ["no_mail"]),
        (f"{ENROL} -d 'enrollment[type]=StudentEnrollment&enrollment[notify]=1'", ["no_user"]),
        (f"{ENROL} -d 'enrollment[user_id]=5&enrollment[type]=ObserverEnrollment&enrollment[notify]=true'", ["no_mail"]),
        (f"""{ENROL} -d '{{"enrollment": {{"user_id": 5, "notify": true}}}}'""", ["json_untold"]),
        (f"""{ENROL} --json '{{"enrollment": {{"user_id": 5, "notify": true}}}}'""", []),
        (f"""{ENROL} --json '{{"enrollment": {{"user_id": 5,}}}}'""", ["broken_json"]),
        (f"""{ENROL} --json '{{"enrollment": {{"user_id": $ID}}}}'""", []),
        (f"{ENROL} -H 'Content-Type: application/json' -d 'enrollment[user_id]=5&enrollment[notify]=true'", ["form_as_json"]),
        (f"{ENROL} --json @enrolment.json", ["no_mail"]),
        (f"{ENROL} --json $BODY", ["no_mail"]),
        (f"curl -X POST '{API}/courses/1/enrollments?enrollment[user_id]=5&enrollment[notify]=true' -H 'Authorization: Bearer $T'", []),
        (f"GET {API}/courses/1/enrollments?enrollment[user_id]=5&enrollment[notify]=true", ["enrollment_by_get"]),
        (f"{IMPORT} -F attachment=@users.csv", []),
        (f"{IMPORT} -d attachment=@users.csv", ["file_not_sent"]),
    ],
)
def test_a_body_and_its_parameters(text: str, said: list[str]) -> None:
    """The form of a body, the user and the mail of an enrolment, the file of an import."""
    assert [remark.kind for remark in explain(text).remarks if remark.kind != "writes"] == said


POST = f'post("{API}/courses/1/enrollments", '


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (POST + 'json={"enrollment": {"user_id": 5, "type": "student", "notify": True}})', ["enrollment_type"]),
        (POST + 'json={"enrollment": {"user_id": uid, "type": kind, "notify": True}})', []),
        (POST + 'data={"enrollment[user_id]": 5, "enrollment[type]": "StudentEnrollment"})', ["no_mail"]),
        (POST + 'body = list(enrollment = list(type = "TaEnrollment", notify = TRUE)))', ["no_user"]),
        (
            (
                "$b = @{ enrollment = @{ user_id = $id; type = 'student'; notify = $true } } | ConvertTo-Json\n"
                f"Invoke-RestMethod -Method Post -Uri {API}/courses/1/enrollments -Headers $h -Body $b"
            ),
            ["enrollment_type"],
        ),
        (f"{ENROL} -d 'enrollment[user_id]=5&enrollment[type]=$TYPE&enrollment[notify]=$MAIL'", []),
    ],
)
def test_the_enrolment_that_a_program_makes(text: str, said: list[str]) -> None:
    """What Python, R and PowerShell post is read as far as it is written down; a variable is judged by nobody."""
    assert [remark.kind for remark in explain(text).remarks if remark.kind not in ("writes", "within_text")] == said


SESSION = (
    "$session = New-Object Microsoft.PowerShell.Commands.WebRequestSession\n"
    '$session.Cookies.Add((New-Object System.Net.Cookie("canvas_session", "c`"x", "/", "s.instructure.com")))\n'
)
CHROME = (
    f'Invoke-WebRequest -UseBasicParsing -Uri "{API}/courses?per_page=10" `\n-WebSession $session `\n'
    '-Headers @{\n"method"="GET"\n"path"="/api/v1/courses"\n"sec-ch-ua"="`"Chromium`";v=`"131`""\n"accept"="application/json"\n}'
)
BODY = '"{`"enrollment`":{`"user_id`":2,`"notify`":true}}"'


@pytest.mark.parametrize(
    ("text", "method", "headers", "said"),
    [
        (SESSION + CHROME, "GET", {"accept": "application/json", "sec-ch-ua": '"Chromium";v="131"'}, ["session_cookie", "small_page"]),
        (
            f'Invoke-WebRequest -Uri "{API}/courses/1/enrollments" -Method "POST" -ContentType "application/json" -Body {BODY}',
            "POST",
            {"content-type": "application/json"},
            ["no_authorization", "writes"],
        ),
        (
            f"$h = @{{ Authorization = ('Bearer ' + $t) }}\nirm -Headers $h -Method Post {API}/courses/1/enrollments -Body @{{'a'=2}}",
            "POST",
            {"authorization": "Bearer "},
            ["no_mail", "writes"],
        ),
        (f"Invoke-RestMethod -Headers $h {API}/courses?per_page=100", "GET", {}, ["within_text"]),
        (f"irm -Headers @{{Authorization=$auth}} {API}/courses?per_page=100", "GET", {"authorization": "$auth"}, []),
        (f"irm @all -Uri {API}/courses?per_page=100", "GET", {}, ["within_text"]),
        (f"iwr {API}/courses?per_page=100 -Authentication Bearer -Token $t", "GET", {"authorization": "Bearer $token"}, []),
        (f"curl.exe '{API}/courses?per_page=100' `\n  -H 'Authorization: Bearer $T'", "GET", {"authorization": "Bearer $T"}, []),
    ],
)
def test_a_command_of_powershell(text: str, method: str, headers: dict[str, str], said: list[str]) -> None:
    """Method, header fields, cookies and body of what PowerShell sends, as browsers copy it too; what is not written is not known."""
    request = read(text)
    assert (request.method, {key: value for key, value in request.headers.items() if key != "cookie"}) == (method, headers)
    assert sorted(remark.kind for remark in explain(text).remarks) == said


def test_a_table_in_powershell_is_a_query_or_a_form() -> None:
    """-Body @{...} goes into the URL of a read, and as a form behind a write."""
    asked = read(f"irm -Uri {API}/courses -Body @{{per_page=50}}")
    posted = read(f"irm -Method Post -Uri {API}/courses/1/enrollments -Body @{{'enrollment[user_id]'=5}}")
    assert (asked.pairs, asked.data) == ([("per_page", "50")], [])
    assert (posted.pairs, posted.data) == ([], ["enrollment%5Buser_id%5D=5"])


def test_an_enrolment_is_mended() -> None:
    """Parameters of an enrolment get their brackets, and GET becomes POST."""
    text = told(explain(f"GET {API}/courses/1/enrollments?enrollment[user_id]=5&notify=true"))
    assert f"\nThe right URL, by POST:\n  {API}/courses/1/enrollments?enrollment[user_id]=5&enrollment[notify]=true" in text


@pytest.mark.parametrize(
    ("query", "noted"),
    [("enrollment_state=active&", True), ("", False), ("enrollment_state=completed&", False)],
)
def test_what_active_leaves_out(query: str, noted: bool) -> None:
    """enrollment_state=active is right on the list of one's courses, and whoever misses some is told what it leaves out."""
    remarks = explain(f"{API}/courses?{query}per_page=100").remarks
    assert [(one.kind, one.weight) for one in remarks] == ([("active_only", Weight.INFO)] if noted else [])


def test_small_pages_and_masquerade_are_noted() -> None:
    """A page size below the greatest is right and gives no more than that; who acts as another is told what it needs."""
    remarks = explain(f"{API}/courses?per_page=10&as_user_id=5").remarks
    assert [(one.kind, one.weight, one.says.partition(":")[0]) for one in remarks] == [
        ("acting_as", Weight.INFO, "as_user_id acts as that user"),
        ("small_page", Weight.INFO, "per_page=10 gives 10 items and no more"),
    ]


LONG = ["a.", "a/", 'irm -Headers @{"a"="b', "irm -Body @{'`", '"a/" + b + ', "paste0(", "query=[", 'v1 = "https://x.y/api/1" ']


@pytest.mark.parametrize("part", LONG)
def test_a_long_text_is_read_in_no_time(part: str) -> None:
    """However its pieces repeat, a pasted text is read in time that grows with its length, not with its square."""
    started = time.process_time()
    explain(f'requests.get("{API}/courses?per_page=100")\n' + part * (60_000 // len(part)))
    assert time.process_time() - started < 2.0
