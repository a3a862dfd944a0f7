"""Explaining URLs, curl lines, header fields and questions; nothing is sent here but in the tests of the command."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer
from typer.testing import CliRunner

from probes.cli import app
from probes.errors import UsageError
from probes.explain import Explanation, answer_question, explain, seen, told
from probes.explain.headers import header_lines, status_means
from probes.explain.lists import LIST_NAMES, SPECIAL
from probes.explain.paste import read
from probes.explain.questions import QUESTIONS
from probes.explain.rules import Weight, effective_per_page
from probes.explain.snippets import link_snippets
from probes.observation import Observation, Outcome
from probes.runs import Run

HOST = "https://s.instructure.com"
SCHEMAS = Path(__file__).parent.parent / "probes" / "schemas"


def kinds(explanation: Explanation) -> list[str]:
    return [remark.kind for remark in explanation.remarks if remark.weight is not Weight.INFO]


# Reading a request


@pytest.mark.parametrize(
    ("text", "method", "url"),
    [
        ("api/v1/courses", "GET", "/api/v1/courses"),
        ("/api/v1/courses?per_page=5&include[]=term", "GET", "/api/v1/courses?per_page=5&include[]=term"),
        ("/api/v1/courses?include%5B%5D=term", "GET", "/api/v1/courses?include[]=term"),
        ("https://S.instructure.com/api/v1/courses", "GET", "https://s.instructure.com/api/v1/courses"),
        ("s.instructure.com/api/v1/courses", "GET", "https://s.instructure.com/api/v1/courses"),
        ("localhost:3000/api/v1/courses", "GET", "http://localhost:3000/api/v1/courses"),
        ("DELETE /api/v1/courses/1", "DELETE", "/api/v1/courses/1"),
        ("'https://a.b/x'", "GET", "https://a.b/x"),
        ("https://[::1]:80/x", "GET", "https://[::1]:80/x"),
        ("https://a.b", "GET", "https://a.b/"),
        ("curl https://a.b/x", "GET", "https://a.b/x"),
        ("curl -sSL -o /dev/null 'https://a.b/x?y=1'", "GET", "https://a.b/x?y=1"),
        ("curl -sSXPOST https://a.b/x -d a=b", "POST", "https://a.b/x"),
        ("curl https://a.b/x -F 'a=b'", "POST", "https://a.b/x"),
        ("curl -G https://a.b/x -d per_page=5 --data-urlencode 'q=a b'", "GET", "https://a.b/x?per_page=5&q=a%20b"),
        ("curl -I https://a.b/x", "HEAD", "https://a.b/x"),
        ("curl --url https://a.b/x --request DELETE", "DELETE", "https://a.b/x"),
        ("curl --some-new-option https://a.b/x", "GET", "https://a.b/x"),
        ("curl --some-new-option /tmp/y https://a.b/x", "GET", "https://a.b/x"),
        ("curl --doh-url https://dns.example/q --preproxy socks5://p:1080 https://a.b/x", "GET", "https://a.b/x"),
        ("/usr/bin/curl \\\n  https://a.b/x", "GET", "https://a.b/x"),
        ("curl.exe https://a.b/x", "GET", "https://a.b/x"),
    ],
)
def test_a_request_is_read(text: str, method: str, url: str) -> None:
    """A URL, a path, a call or a curl line, as people paste them."""
    request = read(text)
    assert (request.method, request.url) == (method, url)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "This is no URL and no curl line: give one, in quotes."),
        ("what is this", "This is no URL and no curl line: give one, in quotes."),
        ("curl", "There is no URL in this curl line."),
        ("curl -X", "This curl line cannot be read: argument -X/--request: expected one argument."),
        ("curl 'https://a.b/x", "A quote in this curl line does not end: copy the whole line."),
        ('curl -H "Authorization: Bearer x https://a.b/x', "A quote in this curl line does not end: copy the whole line."),
        ("nonsense", "This is no URL and no curl line: give one, in quotes."),
        ("https:///api/v1/courses", "This URL names no host."),
        ("https://a!b/x", "This URL names no host."),
        ("ftp://a.b/x", "This is no http address: give one that begins with https://, or a path."),
        ("https://a.b:99999/x", "This is no URL: its host or its port cannot be read."),
        ("http://[bad", "This is no URL: its host or its port cannot be read."),
        ("two words ?access_token=abc", "This is no URL and no curl line: give one, in quotes."),
        ("curl --compressed=abc https://a.b/x", "This curl line cannot be read: argument --compressed: ignored explicit argument."),
    ],
)
def test_what_is_no_request(text: str, message: str) -> None:
    """What holds no URL raises UsageError with one sentence that repeats nothing of it."""
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        read(text)


TOKEN = "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfGhIjKlMnOpQrStUvWxYz01"
"""As an installation of a school's own makes them: without a number and a tilde."""


@pytest.mark.parametrize(
    "text",
    [
        f'requests.get("{HOST}/api/v1/courses", headers={{"Authorization": "Bearer {TOKEN}"}})',
        f'canvas = Canvas("{HOST}", "{TOKEN}")',
        f"Bearer {TOKEN}",
        TOKEN,
        f'API_KEY <- "{TOKEN}"',
        f"wget --user=ann --password={TOKEN} {HOST}/api/v1/courses",
        f"https://ann:{TOKEN}@bad host/api/v1/courses",
        f"https://ann:{TOKEN}@/api/v1/courses",
        f"curl ftp://ann:{TOKEN}@a.b/x",
        f"Cookie: canvas_session={TOKEN}; _csrf_token=abc",
        f"curl -b 'canvas_session={TOKEN}' '{HOST}/api/v1/courses",
        f"curl --frobnicate={TOKEN} {HOST}/api/v1/courses -m",
        f"curl --frobnicate {TOKEN} {HOST}/api/v1/courses",
        f"curl --compressed={TOKEN} {HOST}/api/v1/courses",
        f'{{"auth": {{"oauth2": [{{"key": "clientSecret", "value": "{TOKEN}"}}]}}, "url": "{HOST}/api/v1/courses"}}',
        f'Web.Contents("{HOST}", [RelativePath="api/v1/courses", Query=[access_token="{TOKEN}"]])',
        f'=WEBSERVICE("{HOST}/api/v1/courses?access_token={TOKEN}")',
        f"{HOST}/api/v1/courses per_page=10 key={TOKEN}",
        f"{HOST}/api/v1/courses?key={TOKEN}",
        f"{HOST}/api/v1/users?pseudonym[password]={TOKEN}",
        f"{HOST}/login/oauth2/token?client_id=1&client_secret={TOKEN}&code={TOKEN}",
        f"{HOST}/api/v1/courses?access_token={TOKEN}?per_page=5",
        f"GET /api/v1/courses HTTP/1.1\nHost: s.instructure.com\nAuthorization: Bearer {TOKEN}",
    ],
)
def test_no_secret_is_repeated(text: str) -> None:
    """Neither an explanation nor a refusal repeats a token, a password or a cookie, whatever its shape and wherever it stands."""
    try:
        explanation = explain(text)
        said = told(explanation) + json.dumps(explanation.document())
    except UsageError as error:
        said = str(error)
    assert TOKEN not in said


def test_a_refusal_is_short() -> None:
    """However long the text, its refusal is a line; a remark repeats no more of a long value than tells which it is."""
    with pytest.raises(UsageError) as refused:
        explain("a" * 5000)
    assert str(refused.value) == "This is no URL and no curl line: give one, in quotes."
    says = [remark.says for remark in explain(f"{HOST}/api/v1/courses?per_page={'9' * 4000}").remarks]
    assert says == [
        f"per_page={'9' * 51}... becomes 100 without an error: Canvas reads the number and holds it to 1..100 (..50 on old installations)."
    ]


COURSES = f"{HOST}/api/v1/courses?per_page=100"


@pytest.mark.parametrize(
    ("text", "method", "url"),
    [
        (f"TOKEN=abc curl -H 'Authorization: Bearer $TOKEN' {COURSES}", "GET", COURSES),
        (f"TOKEN=abc; curl -H 'Authorization: Bearer $TOKEN' '{COURSES}'; curl x", "GET", COURSES),
        (f"$ curl '{COURSES}' | jq .", "GET", COURSES),
        (f'for i in 1 2; do curl "{HOST}/api/v1/courses?page=$i"; done', "GET", f"{HOST}/api/v1/courses?page=%24i"),
        (f"curl -H \u201cAccept: a\u201d \u201c{COURSES}\u201d", "GET", COURSES),
        (
            f'curl "{HOST}/api/v1/courses?state[]=available^&per_page=5" ^\n  -H "Accept: a"',
            "GET",
            f"{HOST}/api/v1/courses?state[]=available&per_page=5",
        ),
        (f"curl {HOST}/api/v1/courses?page=1&per_page=5", "GET", f"{HOST}/api/v1/courses?page=1&per_page=5"),
        (f"wget --header='Accept: a' {COURSES}", "GET", COURSES),
        (f"http POST {HOST}/api/v1/courses Accept:a per_page==100", "POST", COURSES),
        (f'Invoke-RestMethod -Method Put -Uri "{COURSES}" -Headers @{{Accept="a"}}', "PUT", COURSES),
        (f'requests.get("{HOST}/api/v1/courses", params={{"per_page": 100}})', "GET", COURSES),
        (f'requests.delete("{COURSES}")', "DELETE", COURSES),
        ('r = requests.get(f"https://{host}/api/v1/courses/{cid}/users")', "GET", "/api/v1/courses/{cid}/users"),
        (f'GET("{HOST}/api/v1/courses", add_headers(A = paste("x", "y")), query = list(per_page = 100))', "GET", COURSES),
        (f'request("{HOST}/api/v1/courses") |> req_url_query(per_page = 100)', "GET", COURSES),
        (f'Web.Contents("{HOST}", [RelativePath="api/v1/courses", Query=[per_page="100"]])', "GET", COURSES),
        (f'{{"method": "POST", "header": [], "url": {{"raw": "{COURSES}"}}}}', "POST", COURSES),
        (f'fetch("{HOST}/api/v1/courses?include[]=term", {{headers: {{}}}})', "GET", f"{HOST}/api/v1/courses?include[]=term"),
        ("GET /api/v1/courses?per_page=100 HTTP/1.1\r\nHost: s.instructure.com\r\n\r\n", "GET", COURSES),
        ("{{baseUrl}}/api/v1/courses/:id", "GET", "/api/v1/courses/:id"),
        ("https://{{host}}/api/v1/courses", "GET", "/api/v1/courses"),
        (f"{HOST}/api/v1/courses/sis_course_id:BIO 1/users", "GET", f"{HOST}/api/v1/courses/sis_course_id:BIO 1/users"),
    ],
)
def test_a_url_is_found_in_what_people_paste(text: str, method: str, url: str) -> None:
    """Prompts, loops, curly quotes, Windows' carets, programs and documents around a request are looked through."""
    request = read(text)
    assert (request.method, request.url) == (method, url)


def test_headers_of_a_curl_line() -> None:
    """-H, -A and --oauth2-bearer are read; -H 'Name:' takes a field away."""
    request = read("curl -H 'Accept: a/b' -H 'User-Agent:' --oauth2-bearer abc -k https://a.b/x")
    assert request.headers == {"accept": "a/b", "user-agent": "", "authorization": "Bearer abc"}
    assert request.insecure


@pytest.mark.untraced
@given(st.text(max_size=80))
def test_any_text_is_explained_or_refused(text: str) -> None:
    """Whatever is given, there is an explanation with a URL, or one that leaves a choice open, or a UsageError."""
    try:
        explanation = explain(text)
    except UsageError:
        return
    assert explanation.right is not None
    assert bool(explanation.urls) is not bool(explanation.right.first)
    assert told(explanation)


# What is wrong

SUBMISSIONS = "/api/v1/courses/1/students/submissions?student_ids[]=all&per_page=100"
CHANNELS = "/api/v1/users/5/communication_channels?per_page=100"


@pytest.mark.parametrize(
    ("text", "found", "right"),
    [
        (f"{HOST}/api/v2/courses?per_page=100", ["wrong_version"], "/api/v1/courses?per_page=100"),
        (f"{HOST}/courses?per_page=100", ["not_api"], "/api/v1/courses?per_page=100"),
        (f"{HOST}/api/v1/courses", ["no_page_size"], "/api/v1/courses?per_page=100"),
        (f"{HOST}/api/v1/users/self", [], "/api/v1/users/self"),
        (f"{HOST}/api/courses/7", ["half_prefix"], "/api/v1/courses/7"),
        (f"{HOST}/v1/courses/7", ["half_prefix"], "/api/v1/courses/7"),
        (f"{HOST}/v2/courses/7", ["half_prefix"], "/api/v1/courses/7"),
        (f"{HOST}//api/v1/users/self", ["slashes"], "/api/v1/users/self"),
        (f"{HOST}/api/v1//users/self", ["slashes"], "/api/v1/users/self"),
        (f"{HOST}/api/lti/courses/1/names_and_roles", [], "/api/lti/courses/1/names_and_roles"),
        (f"{HOST}/api/sis/accounts/1/assignments/2", [], "/api/sis/accounts/1/assignments/2"),
        (f"{HOST}/api/v1/accounts/1/sis_import?per_page=100", ["nearly_a_name"], "/api/v1/accounts/1/sis_imports?per_page=100"),
        (f"{HOST}/api/v1/Courses?per_page=100", ["nearly_a_name"], "/api/v1/courses?per_page=100"),
        (f"{HOST}/api/v1/users/5/communication_channel", ["nearly_a_name", "no_page_size"], CHANNELS),
        (f"{HOST}/api/v1/courses/1/quizzes/5/submission", [], "/api/v1/courses/1/quizzes/5/submission"),
        (f"{HOST}/api/v1/courses/1/pages/assignment", [], "/api/v1/courses/1/pages/assignment"),
        (f"{HOST}/api/v1/audit/course/courses/1", [], "/api/v1/audit/course/courses/1"),
        (f"{HOST}/courses/1/gradebook", ["not_api", "no_page_size"], SUBMISSIONS),
        (f"{HOST}/courses/1/pages/home", ["not_api"], "/api/v1/courses/1/pages/home"),
        (f"{HOST}/courses/1/assignments/2", ["not_api"], "/api/v1/courses/1/assignments/2"),
        (f"{HOST}/api/v1/courses?state[]=publised&per_page=9", ["unknown_state"], "/api/v1/courses?state[]=available&per_page=9"),
        (
            f"{HOST}/api/v1/courses?enrollment_state=actve&per_page=9",
            ["unknown_state"],
            "/api/v1/courses?enrollment_state=active&per_page=9",
        ),
        (
            f"{HOST}/api/v1/courses/1/enrollments?state[]=inactve&per_page=9",
            ["unknown_state"],
            "/api/v1/courses/1/enrollments?state[]=inactive&per_page=9",
        ),
        (
            f"{HOST}/api/v1/courses?include[]=total_student&per_page=9",
            ["unknown_include"],
            "/api/v1/courses?include[]=total_students&per_page=9",
        ),
        (f"{HOST}/api/v1/courses/1?include[]=newer_than_this", [], "/api/v1/courses/1?include[]=newer_than_this"),
        (
            f"{HOST}/api/v1/courses/1/users?enrollment_type[]=student_view&per_page=9",
            [],
            "/api/v1/courses/1/users?enrollment_type[]=student_view&per_page=9",
        ),
        (
            f"PUT {HOST}/api/v1/courses/1/enrollments/5?task=inactivate",
            ["task_by_delete"],
            "/api/v1/courses/1/enrollments/5?task=inactivate",
        ),
        (f"PUT {HOST}/api/v1/courses/1/enrollments/5/reactivate", [], "/api/v1/courses/1/enrollments/5/reactivate"),
        (f"{HOST}/api/v1/courses/12", [], "/api/v1/courses/12"),
        (f"{HOST}/api/graphql", ["post_alone"], "/api/graphql"),
        (f"POST {HOST}/api/graphql", [], "/api/graphql"),
        (f"{HOST}/login/oauth2/token?client_secret=a&code=b", ["post_alone"], "/login/oauth2/token"),
        (f"{HOST}/api/v1/users/self?key=abc", ["secret_in_url"], "/api/v1/users/self?key=[redacted]"),
        (f"curl -H 'Authorization: Bearer {TOKEN}' {HOST}/api/v1/users/self", ["token_in_command"], "/api/v1/users/self"),
        (f"curl -H 'Authorization: Bearer YOUR_ACCESS_TOKEN' {HOST}/api/v1/users/self", [], "/api/v1/users/self"),
        (f"T=7~{'a' * 40} curl -H 'Authorization: Bearer $T' {HOST}/api/v1/users/self", ["token_in_command"], "/api/v1/users/self"),
        (
            f"curl -H 'Authorization: Bearer $T' {HOST}/api/v1/courses?include[]=term&per_page=50",
            ["unquoted"],
            "/api/v1/courses?include[]=term&per_page=50",
        ),
        (f"{HOST}/api/v1/courses/sis_course_id:BIO 1/tabs?per_page=9", ["blank"], "/api/v1/courses/sis_course_id:BIO%201/tabs?per_page=9"),
        (
            f"curl -H 'Authorization: Bearer $T' {HOST}/api/v1/courses/1/enrollments -d 'enrollment[user_id]=5&enrollment[type]=student'",
            ["enrollment_type"],
            "/api/v1/courses/1/enrollments",
        ),
        (
            (
                f"curl -H 'Authorization: Bearer $T' {HOST}/api/v1/courses/1/enrollments "
                '--json \'{"enrollment": {"user_id": 5, "type": "student"}}\''
            ),
            ["enrollment_type"],
            "/api/v1/courses/1/enrollments",
        ),
        (
            (
                f"curl -H 'Authorization: Bearer $T' {HOST}/api/v1/courses/1/enrollments "
                "-d 'enrollment[user_id]=5&enrollment[type]=TaEnrollment'"
            ),
            [],
            "/api/v1/courses/1/enrollments",
        ),
        (f'curl -H "Authorization: Bearer $T" "{HOST}/api/v1/courses?per_page=9&page=$i"', ["page_number"], "/api/v1/courses?per_page=9"),
        (f"{HOST}/health_check.json", [], "/health_check.json"),
        (f"{HOST}/api/v1/courses?per_page=1000", ["page_size"], "/api/v1/courses?per_page=100"),
        (f"{HOST}/api/v1/courses?per_page=abc", ["page_size"], "/api/v1/courses?per_page=100"),
        (f"{HOST}/api/v1/courses?per_page=", ["page_size"], "/api/v1/courses?per_page=100"),
        (f"{HOST}/api/v1/courses?per_page=50", [], "/api/v1/courses?per_page=50"),
        (f"{HOST}/api/v1/courses?limit=50", ["size_name"], "/api/v1/courses?per_page=50"),
        (f"{HOST}/api/v1/courses?per_page[]=50", ["brackets"], "/api/v1/courses?per_page=50"),
        (
            f"{HOST}/api/v1/courses?enrollment_type=TeacherEnrollment&per_page=100",
            ["enrollment_type"],
            "/api/v1/courses?enrollment_type=teacher&per_page=100",
        ),
        (
            f"{HOST}/api/v1/courses?enrollment_type=Teacher&per_page=100",
            ["enrollment_type"],
            "/api/v1/courses?enrollment_type=teacher&per_page=100",
        ),
        (f"{HOST}/api/v1/courses?enrollment_type=ta&per_page=100", [], "/api/v1/courses?enrollment_type=ta&per_page=100"),
        (
            f"{HOST}/api/v1/courses/1/enrollments?type[]=student&per_page=100",
            ["enrollment_type"],
            "/api/v1/courses/1/enrollments?type[]=StudentEnrollment&per_page=100",
        ),
        (
            f"{HOST}/api/v1/courses/1/enrollments?type[]=Studentenrollment&per_page=100",
            ["enrollment_type"],
            "/api/v1/courses/1/enrollments?type[]=StudentEnrollment&per_page=100",
        ),
        (
            f"{HOST}/api/v1/courses/1/enrollments?type[]=TaEnrollment&per_page=100",
            [],
            "/api/v1/courses/1/enrollments?type[]=TaEnrollment&per_page=100",
        ),
        (
            f"{HOST}/api/v1/courses/1/enrollments?type=StudentEnrollment&per_page=100",
            ["brackets"],
            "/api/v1/courses/1/enrollments?type[]=StudentEnrollment&per_page=100",
        ),
        (
            f"{HOST}/api/v1/courses/1/enrollments?sis_user_id=student&per_page=100",
            [],
            "/api/v1/courses/1/enrollments?sis_user_id=student&per_page=100",
        ),
        (f"{HOST}/api/v1/courses?state[]=active&per_page=100", ["state_filter"], "/api/v1/courses?enrollment_state=active&per_page=100"),
        (
            f"{HOST}/api/v1/courses?enrollment_state=available&per_page=100",
            ["state_filter"],
            "/api/v1/courses?state[]=available&per_page=100",
        ),
        (
            f"{HOST}/api/v1/courses?enrollment_state=completed&state[]=completed&per_page=100",
            [],
            "/api/v1/courses?enrollment_state=completed&state[]=completed&per_page=100",
        ),
        (
            f"{HOST}/api/v1/users/5/courses?state[]=active&per_page=100",
            ["state_filter"],
            "/api/v1/users/5/courses?enrollment_state=active&per_page=100",
        ),
        (f"{HOST}/api/v1/accounts/5/courses?state[]=active&per_page=100", [], "/api/v1/accounts/5/courses?state[]=active&per_page=100"),
        (
            f"{HOST}/api/v1/courses/1/enrollments?enrollment_state=active&per_page=100",
            ["state_filter"],
            "/api/v1/courses/1/enrollments?state[]=active&per_page=100",
        ),
        (
            f"{HOST}/api/v1/courses?include=term&include=teachers&per_page=100",
            ["brackets"],
            "/api/v1/courses?include[]=term&include[]=teachers&per_page=100",
        ),
        (
            f"{HOST}/api/v1/courses?include[]=term,teachers&per_page=100",
            ["brackets"],
            "/api/v1/courses?include[]=term&include[]=teachers&per_page=100",
        ),
        (f"{HOST}/api/v1/courses/1?include=term", ["brackets"], "/api/v1/courses/1?include[]=term"),
        (f"{HOST}/api/v1/courses?access_token=abc&per_page=100", ["token_in_url"], "/api/v1/courses?per_page=100"),
        ("http://s.instructure.com/api/v1/users/self", ["plain_http"], "/api/v1/users/self"),
        (f"{HOST}/api/v1/courses?per_page=100&page=2", ["page_number"], "/api/v1/courses?per_page=100"),
        (f"{HOST}/api/v1/courses?per_page=100&page=1", [], "/api/v1/courses?per_page=100"),
        (f"{HOST}/api/v1/courses?per_page=100&page=0", ["page_number"], "/api/v1/courses?per_page=100"),
        (f"{HOST}/api/v1/courses/1/enrollments?page=2&per_page=100", ["page_number"], "/api/v1/courses/1/enrollments?per_page=100"),
        (
            f"{HOST}/api/v1/courses/1/enrollments?page=bookmark:abc&per_page=100",
            [],
            "/api/v1/courses/1/enrollments?page=bookmark:abc&per_page=100",
        ),
        (f"{HOST}/api/v1/courses?per_page=100?page=2", ["query_mark", "page_number"], "/api/v1/courses?per_page=100"),
        (f"{HOST}/api/v1/courses&per_page=100", ["query_mark"], "/api/v1/courses?per_page=100"),
        (f"{HOST}/api/v1/courses?per_page=100&amp;include[]=term", ["html_ampersand"], "/api/v1/courses?per_page=100&include[]=term"),
        (f"{HOST}/API/V1/courses?per_page=100", ["capitals"], "/api/v1/courses?per_page=100"),
        (f"{HOST}/Api/V2/users/self", ["capitals", "wrong_version"], "/api/v1/users/self"),
        (f"DELETE {HOST}/api/v1/courses/1/enrollments/2?task=delete", [], "/api/v1/courses/1/enrollments/2?task=delete"),
        (f"curl -X DELETE {HOST}/api/v1/courses/1/enrollments/2 -d task=delete", ["no_authorization"], "/api/v1/courses/1/enrollments/2"),
        (f"POST {HOST}/api/v1/courses/1/enrollments?limit=5&page=2", [], "/api/v1/courses/1/enrollments?limit=5&page=2"),
        (f"PUT {HOST}/api/v1/courses?per_page=1000", [], "/api/v1/courses?per_page=1000"),
        (f"curl {HOST}/api/v1/users/self", ["no_authorization"], "/api/v1/users/self"),
        (f"curl -u ann:secret {HOST}/api/v1/users/self", ["basic_authorization"], "/api/v1/users/self"),
        (f"curl -H 'Authorization: basic YTpi' {HOST}/api/v1/users/self", ["basic_authorization"], "/api/v1/users/self"),
        ("https://ann:secret@s.instructure.com/api/v1/users/self", ["basic_authorization"], "/api/v1/users/self"),
        (f"curl -b '_normandy_session=x; log=1' {HOST}/api/v1/users/self", [], "/api/v1/users/self"),
        (f"curl -H 'Cookie: log=1; canvas_session=x' {HOST}/api/v1/users/self", [], "/api/v1/users/self"),
        (f"curl -b 'log=1' {HOST}/api/v1/users/self", ["no_authorization"], "/api/v1/users/self"),
        (f"curl -b cookies.txt {HOST}/api/v1/users/self", [], "/api/v1/users/self"),
        (f"curl -H 'Authorization: bearer x' {HOST}/api/v1/users/self", ["wrong_authorization"], "/api/v1/users/self"),
        (f"curl -H 'Authorization: Bearer $T' {HOST}/api/v1/users/self", [], "/api/v1/users/self"),
        (f"curl -H 'Authorization: Bearer 7~{'a' * 40}' {HOST}/api/v1/users/self", ["token_in_command"], "/api/v1/users/self"),
        (f"curl -H 'Authorization: Bearer $T' -A '' {HOST}/api/v1/users/self", ["no_user_agent"], "/api/v1/users/self"),
        (f"curl -k -H 'Authorization: Bearer $T' {HOST}/api/v1/users/self", ["insecure"], "/api/v1/users/self"),
        (f"curl '{HOST}/api/v1/users/self?access_token=abc'", ["token_in_url"], "/api/v1/users/self"),
        (f"{HOST}/api/v1/users/self/activity_stream?per_page=100", [], "/api/v1/users/self/activity_stream?per_page=100"),
        (f"{HOST}/api/v1/courses/1/app_center/apps?per_page=100", ["page_size"], "/api/v1/courses/1/app_center/apps?per_page=72"),
    ],
)
def test_each_mistake_is_named_and_mended(text: str, found: list[str], right: str) -> None:
    """Each mistake alone is named, nothing else is, and the right URL is whole."""
    explanation = explain(text)
    assert kinds(explanation) == found
    assert explanation.urls == [HOST + right]


ENROLLMENT_WORDS = (
    "Use one of active, invited, creation_pending, deleted, rejected, completed, inactive, current_and_invited, current_and_future, "
    "current_future_and_restricted, current_and_concluded."
)
WORD, ID, PATH = "chosen a word that Canvas knows", "put the id in its place", "found the API's own path"


@pytest.mark.parametrize(
    ("path", "kind", "first", "advice"),
    [
        ("/apiary", "not_api", PATH, "No path of the API is known here for this page: look for it in the API's documentation."),
        *(
            (page, "not_api", PATH, "No path of the API is known here for this page: look for it in the API's documentation.")
            for page in ("/courses/1/quizzes/2/take", "/courses/1/somewhere")
        ),
        ("/api/v1?page=2", "page_number", "put behind /api/v1 what you ask for", 'Follow rel="next" from the first page.'),
        ("/api/v1/courses?enrollment_type=boss", "enrollment_type", WORD, "Use one of teacher, student, ta, observer, designer."),
        ("/api/v1/courses?state[]=open", "unknown_state", WORD, "Use one of unpublished, available, completed, deleted."),
        ("/api/v1/courses?enrollment_state=open", "unknown_state", WORD, "Use one of active, invited_or_pending, completed."),
        ("/api/v1/courses/1/enrollments?state[]=gone", "unknown_state", WORD, ENROLLMENT_WORDS),
        ("/api/v1/courses/:course_id/users", "placeholder", ID, "Put the number there, or self."),
    ],
)
def test_no_url_where_something_must_be_done_first(path: str, kind: str, first: str, advice: str) -> None:
    """What is wrong and cannot be mended here stands in no right URL: it is said what is to be done first."""
    explanation = explain(HOST + path)
    assert explanation.urls == []
    assert (kind, advice) in [(remark.kind, remark.advice) for remark in explanation.remarks]
    assert f"There is no right URL until you have {first}." in told(explanation).splitlines()


def test_a_variable_of_a_program_is_no_placeholder_to_fill_in() -> None:
    """A line of a program keeps its variables: its right URL is told with them."""
    assert explain('requests.get(f"https://a.b/api/v1/courses/{cid}/tabs?per_page=9")').urls == [
        "https://a.b/api/v1/courses/{cid}/tabs?per_page=9"
    ]


def test_a_task_is_sent_by_delete() -> None:
    """PUT of an enrolment with a task has no route: the right URL is told with the method that has."""
    text = told(explain(f"PUT {HOST}/api/v1/courses/1/enrollments/5?task=inactivate"))
    assert "- PUT of an enrolment takes no task: Canvas has no such route and answers 404.\n  Send DELETE: it takes task.\n" in text
    assert f"\nThe right URL, by DELETE:\n  {HOST}/api/v1/courses/1/enrollments/5?task=inactivate" in text


CHOOSE = "Choose task=conclude, task=deactivate, task=delete, task=inactivate."


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        (f"DELETE {HOST}/api/v1/courses/1/enrollments/2", "no_task", "Without task this concludes the enrolment; it does not delete it."),
        (
            f"DELETE {HOST}/api/v1/courses/1/enrollments/2?task=remove",
            "unknown_task",
            "task=remove is unknown to Canvas, which then concludes the enrolment without an error.",
        ),
        (
            f"curl -X DELETE -H 'Authorization: Bearer $T' {HOST}/api/v1/courses/1/enrollments/2 -d 'a=b&task=gone'",
            "unknown_task",
            "task=gone is unknown to Canvas, which then concludes the enrolment without an error.",
        ),
        (
            f"curl -X DELETE -H 'Authorization: Bearer $T' {HOST}/api/v1/courses/1/enrollments/2 --json '{{\"task\": \"end\"}}'",
            "unknown_task",
            "task=end is unknown to Canvas, which then concludes the enrolment without an error.",
        ),
    ],
)
def test_no_url_where_a_task_must_be_chosen(text: str, kind: str, says: str) -> None:
    """DELETE enrolment without a task, or with an unknown one, has no right URL: whichever were printed would conclude it."""
    explanation = explain(text)
    assert explanation.urls == []
    assert [(remark.kind, remark.says, remark.advice) for remark in explanation.remarks[:-1]] == [(kind, says, CHOOSE)]
    note = "Note:\n- DELETE changes something: it is explained here, never sent."
    assert told(explanation).endswith(f"{CHOOSE}\n\n{note}\n\n{UNCHOSEN}")
    assert (explanation.document()["right"], explanation.document()["see_link_header"]) == ([], {})


UNCHOSEN = "There is no right URL until you have chosen what it shall do."


def test_a_call_that_writes_is_not_paged() -> None:
    """Nothing is said of pages where something is written: no remark, no fact, no lines that read every page."""
    explanation = explain(f"POST {HOST}/api/v1/courses/1/enrollments")
    assert told(explanation) == (
        "POST https://s.instructure.com/api/v1/courses/1/enrollments\n"
        "\n"
        "Nothing is wrong with it.\n"
        "\n"
        "Note:\n"
        "- POST changes something: it is explained here, never sent.\n"
        "\n"
        "The right URL:\n"
        "  https://s.instructure.com/api/v1/courses/1/enrollments"
    )
    assert (explanation.facts, explanation.document()["see_link_header"]) == ((), {})


def test_a_password_is_not_shown() -> None:
    """What stands before @ in a URL, or behind -u, is told nowhere."""
    for text in ("https://ann:secret@s.instructure.com/api/v1/users/self", f"curl -u ann:secret {HOST}/api/v1/users/self"):
        assert "secret" not in told(explain(text)) + json.dumps(explain(text).document())


def test_the_right_url_needs_no_mending() -> None:
    """Explaining the right URL finds nothing wrong: mending is done once and for all."""
    text = f"{HOST}/api/v2/courses?enrollment_type=TeacherEnrollment&state[]=active&include=term&include=x&per_page=1000&access_token=x"
    first = explain(text)
    assert len(kinds(first)) == 6
    assert kinds(explain(first.urls[0])) == []


def test_without_a_host_the_instances_stands_in() -> None:
    """A bare path gets the given origin, or a host to fill in."""
    assert explain("/api/v1/users/self", "https://b").urls == ["https://b/api/v1/users/self"]
    assert explain("/api/v1/users/self").urls == ["https://YOUR-SCHOOL.instructure.com/api/v1/users/self"]


def test_loopback_may_be_plain() -> None:
    """http:// is right on loopback."""
    assert kinds(explain("http://127.0.0.1:3000/api/v1/users/self")) == []


@pytest.mark.parametrize(
    ("text", "effective"), [("0", 1), ("-1", 1), ("abc", 1), ("", 1), ("1000", 100), ("2.9", 2), ("50", 50), ("9" * 50, 100), ("7x", 7)]
)
def test_what_canvas_makes_of_per_page(text: str, effective: int) -> None:
    """per_page is read as Ruby reads numbers, then held to 1..100."""
    assert effective_per_page(text) == effective


def test_the_special_lists_are_lists() -> None:
    """Each list with facts of its own is known as a list."""
    assert SPECIAL.keys() <= LIST_NAMES


def test_told_to_a_person() -> None:
    """The whole text: what was given, what is wrong, what is right, without the secret."""
    text = told(explain(f"{HOST}/api/v2/courses?access_token=abc&per_page=50"), snippets=False)
    assert text == (
        "GET https://s.instructure.com/api/v2/courses?access_token=[redacted]&per_page=50\n"
        "\n"
        "What is wrong with it:\n"
        "- There is no version 2 of the REST API: Canvas answers 404 with a web page (HTML), not with JSON. "
        "What answered you with data was v1, or not Canvas.\n"
        "  Use /api/v1.\n"
        "- access_token in the URL ends up in logs and histories, and Canvas leaves it out of the Link header: "
        "the next page is then asked for without a token (401).\n"
        "  Send the header Authorization: Bearer TOKEN instead, and make a new token: this one has been written down.\n"
        "\n"
        "Note:\n"
        "- per_page=50 gives 50 items and no more: where the list is longer, the rest is on further pages.\n"
        '  Follow rel="next" until there is none; per_page=100 needs fewer calls.\n'
        "\n"
        "The right URL:\n"
        "  https://s.instructure.com/api/v1/courses?per_page=50\n"
        "  This is a list: 10 items a page unless per_page says more, 100 at most; it pages by numbered pages: "
        'follow rel="next" until there is none.'
    )


def test_a_list_is_told_with_how_to_read_its_pages() -> None:
    """Below the URL of a list stands how to see the Link header by each tool; not below what may not be paged."""
    url = f"{HOST}/api/v1/courses?per_page=100"
    lines = told(explain(url)).splitlines()
    assert [line for line in lines if line in ("How to see the Link header:", "  curl", "  python", "  r", "  vba")] == [
        "How to see the Link header:",
        "  curl",
        "  python",
        "  r",
        "  vba",
    ]
    assert all(f"    {line}" in lines for line in link_snippets(url)["curl"].splitlines())
    assert "How to see the Link header:" not in told(explain(f"PUT {HOST}/api/v1/courses/1"))


def test_a_single_object_is_asked_for_by_a_plain_call() -> None:
    """Below the URL of a single object stands one line: it has no pages to read."""
    explanation = explain(f"{HOST}/api/v1/users/self")
    call = f"curl -sS -i -H \"Authorization: Bearer $CANVAS_API_TOKEN\" '{HOST}/api/v1/users/self'"
    assert told(explanation).endswith(f"\n\nHow to ask for it:\n\n    {call}")
    assert explanation.document()["see_link_header"] == {}


def test_the_python_lines_read_a_list_in_an_envelope(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines for Python collect the items of a list, be it the body or a part of it."""
    monkeypatch.setenv("CANVAS_API_TOKEN", "t")
    second = {"Link": f'<{httpserver.url_for("/b")}>; rel="next"'}
    httpserver.expect_request("/a").respond_with_json({"total": 2, "sis_imports": [{"id": 1}]}, headers=second)
    httpserver.expect_request("/b").respond_with_json([{"id": 2}])
    names: dict[str, Any] = {}
    exec(link_snippets(httpserver.url_for("/a"))["python"], names)
    assert names["items"] == [{"id": 1}, {"id": 2}]


NUMBERED, BOOKMARKED = (
    'by numbered pages: follow rel="next" until there is none',
    'by bookmarks: follow rel="next", there are no page numbers',
)
NO_LAST = '; it has no rel="last", the total is not told'


@pytest.mark.parametrize(
    ("path", "default", "greatest", "how"),
    [
        ("courses", 10, 100, NUMBERED),
        ("users/self/activity_stream", 21, 100, NUMBERED),
        ("courses/1/app_center/apps", 72, 72, NUMBERED),
        ("accounts/self/sis_imports", 10, 100, NUMBERED + NO_LAST),
        ("courses/1/enrollments", 10, 100, BOOKMARKED + NO_LAST),
        ("courses/1/lti_resource_links", 50, 100, BOOKMARKED + NO_LAST),
    ],
)
def test_what_is_known_of_a_list(path: str, default: int, greatest: int, how: str) -> None:
    """One sentence on how a list pages: its sizes, by numbers or bookmarks, whether the last page is told."""
    sizes = f"{default} items a page unless per_page says more, {greatest} at most"
    assert explain(f"{HOST}/api/v1/{path}").facts == (f"This is a list: {sizes}; it pages {how}.",)


def test_nothing_wrong_is_said() -> None:
    """A right URL is told to be right; a write is told not to be sent."""
    assert "Nothing is wrong with it." in told(explain(f"{HOST}/api/v1/users/self"))
    text = told(explain(f"PUT {HOST}/api/v1/courses/1"))
    assert "Nothing is wrong with it.\n\nNote:\n- PUT changes something: it is explained here, never sent." in text


# What the header fields say


def test_header_lines_of_a_list() -> None:
    """Link relation by relation with what is missing, then each field with its meaning."""
    headers = {
        "link": '<https://a/x?page=1&per_page=10>; rel="current",<https://a/x?page=bookmark:q&per_page=10>; rel="next"',
        "x-rate-limit-remaining": "551.2",
        "x-request-cost": "0.04",
        "x-canvas-meta": "q=1500;u=0.1;d=0.02;z=1;",
        "x-other": "1",
    }
    assert [(line.name, line.value) for line in header_lines(headers, "https://a/x")] == [
        ('link rel="current"', "https://a/x?page=1&per_page=10"),
        ('link rel="next"', "https://a/x?page=bookmark:q&per_page=10"),
        ('link rel="last"', "(missing)"),
        ("per_page in link", "10"),
        ("x-rate-limit-remaining", "551.2"),
        ("x-request-cost", "0.04"),
        ("x-canvas-meta", "q=1500;u=0.1;d=0.02;z=1;"),
    ]
    means = {line.name: line.means for line in header_lines(headers)}
    assert "about 11 more requests may start now" in means["x-rate-limit-remaining"]
    assert means["x-canvas-meta"] == "The server's own account: waited 1500 us for a server, CPU 0.1 s, database 0.02 s."


@pytest.mark.parametrize(
    ("headers", "name", "words"),
    [
        ({"x-rate-limit-remaining": "600.0"}, "x-rate-limit-remaining", "about 11 more requests may start now"),
        ({"x-rate-limit-remaining": "50.0"}, "x-rate-limit-remaining", "a request that starts now is refused"),
        ({"x-rate-limit-remaining": "-200.0"}, "x-rate-limit-remaining", "a request that starts now is refused"),
        ({"x-rate-limit-remaining": "nan"}, "x-rate-limit-remaining", "Not a number"),
        ({"x-rate-limit-remaining": "5", "x-rate-limit-reset": "1"}, "x-rate-limit-remaining", "Brightspace"),
        ({"x-rate-limit-remaining": "5", "x-rate-limit-limit": "9"}, "x-rate-limit-remaining", "Calls left of Limit"),
        ({"x-request-cost": "$0.15"}, "x-request-cost", "Not a number"),
        ({"x-canvas-meta": "zz"}, "x-canvas-meta", "nothing known in it"),
        ({"x-canvas-meta": "q;u=0.1"}, "x-canvas-meta", "The server's own account: CPU 0.1 s."),
        ({"content-type": "text/html"}, "content-type", "A web page, not data."),
        ({"retry-after": "5"}, "retry-after", "Wait so long"),
        ({"link": '<https://a/x>; rel="current"'}, 'link rel="next"', "This was the last page"),
    ],
)
def test_a_field_means(headers: dict[str, str], name: str, words: str) -> None:
    """One field, its meaning in plain words."""
    assert words in {line.name: line.means for line in header_lines(headers)}[name]


def test_a_cookie_is_not_shown() -> None:
    """Of a cookie only the name is told."""
    lines = header_lines({"set-cookie": "canvas_session=secret; path=/"})
    assert [line.value for line in lines] == ["canvas_session=[redacted]"]


@pytest.mark.parametrize(
    ("status", "outcome", "page", "words"),
    [
        (404, Outcome.NOT_FOUND, True, "404 with a web page: there is no such path in this API"),
        (404, Outcome.NOT_FOUND, False, "404: there is no such thing, or no such path."),
        (200, Outcome.OK, False, "200: answered as asked."),
        (None, Outcome.READ_TIMEOUT, False, "No answer: read timeout."),
    ],
)
def test_a_status_means(status: int | None, outcome: Outcome, page: bool, words: str) -> None:
    """One sentence on the status."""
    assert status_means(status, outcome, page=page).startswith(words)


def test_what_was_seen_is_told() -> None:
    """An answer's status with its error, then its fields."""
    one = Observation("beta", "explain", "GET /x", "GET", "/x", 0.0, 0.0, None, None, Outcome.READ_TIMEOUT, error="no answer within 5 s")
    assert seen(one, {}, "https://a/x").means == "No answer: read timeout. (no answer within 5 s)"


# Questions


def test_current_courses_takes_two_lists() -> None:
    """All current and future courses: two lists, joined by id, kept where there are students and the course is not over."""
    question = answer_question("current-courses", "all", "https://a")
    common = "&state[]=unpublished&state[]=available&include[]=total_students&include[]=term&include[]=concluded&per_page=100"
    assert question.urls == [
        f"https://a/api/v1/courses?enrollment_type=teacher&enrollment_state=active{common}",
        f"https://a/api/v1/courses?enrollment_type=teacher&enrollment_state=invited_or_pending{common}",
    ]
    assert question.question is not None
    assert question.question.keep == ("total_students > 0", "concluded is not true")
    narrowed = answer_question("current-courses", "current", "https://a").question
    assert narrowed is not None
    assert narrowed.keep[-1] == "term.start_at is empty or before now, and term.end_at is empty or after now"


@pytest.mark.parametrize("name", [question.name for question in QUESTIONS])
def test_our_own_urls_are_right(name: str) -> None:
    """Each question's URLs pass our own rules."""
    for url in answer_question(name, "all", HOST).urls:
        assert kinds(explain(url)) == [] or url.endswith("/importing")
    assert told(answer_question(name))


def test_a_question_without_courses_has_no_term() -> None:
    """That of a course's people is the same for all terms."""
    assert answer_question("course-roster", "current", HOST).document() == answer_question("course-roster", "all", HOST).document()


def test_unknown_questions_and_terms() -> None:
    """A question or a term that is not in the list raises UsageError with those that are."""
    with pytest.raises(UsageError, match=r"^There is no question 'x': known are current-courses, my-courses, "):
        answer_question("x")
    with pytest.raises(UsageError, match=r"^--term next: use all or current\.$"):
        answer_question("current-courses", "next")


def test_snippets_hold_the_url() -> None:
    """curl, Python, R and VBA each name the URL and the Link header; the Python one compiles."""
    snippets = link_snippets("https://a/x?b[]=1")
    assert sorted(snippets) == ["curl", "python", "r", "vba"]
    assert all("https://a/x?b[]=1" in text for text in snippets.values())
    assert all("link" in text.lower() for text in snippets.values())
    compile(snippets["python"], "snippet", "exec")


# The command


def probes(*words: str, stdin: str | None = None) -> tuple[int, str, str]:
    from probes.errors import ProbesError

    result = CliRunner().invoke(app, list(words), input=stdin)
    code = int(result.exception.exit_code) if isinstance(result.exception, ProbesError) else result.exit_code
    return code, result.stdout, str(result.exception) if isinstance(result.exception, ProbesError) else result.stderr


def test_the_command_explains_without_any_configuration() -> None:
    """`probes explain URL` needs no configuration; words of an unquoted curl line are put together."""
    code, out, _ = probes("explain", "/api/v2/courses")
    assert (code, out.splitlines()[:4]) == (0, ["GET /api/v2/courses", "", "What is wrong with it:", out.splitlines()[3]])
    code, out, _ = probes("explain", "curl", "-sS", "-H", "Authorization: Bearer x", "https://a.b/api/v1/users/self")
    assert (code, "Nothing is wrong with it." in out) == (0, True)
    code, out, _ = probes("explain", "-", stdin="https://a.b/api/v1/users/self\n")
    assert (code, out.splitlines()[0]) == (0, "GET https://a.b/api/v1/users/self")


@pytest.mark.parametrize("encoding", ["utf-8:strict", "utf-8:surrogateescape"])
@pytest.mark.parametrize(
    ("given", "message"),
    [
        (b"\xff\xfe\x00h", "probes: What stands on stdin is no text: give a URL or a curl line.\n"),
        (b"https://a.b/x\x00", "probes: What stands on stdin is no text: give a URL or a curl line.\n"),
        (None, "probes: There is nothing to explain: stdin is closed.\n"),
        (b"", "probes: There is nothing to explain: give a URL or a curl line in quotes, or --question NAME.\n"),
    ],
)
def test_stdin_that_holds_no_text(given: bytes | None, message: str, encoding: str) -> None:
    """`explain -` with bytes that are no text, or with stdin closed, is one sentence and exit 2."""
    line = [sys.executable, "-m", "probes", "explain", "-"]
    words = ["sh", "-c", 'exec "$@" <&-', "sh", *line] if given is None else line
    env = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(SCHEMAS.parents[1])}
    done = subprocess.run(words, input=given, env=env, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr.decode()) == (2, b"", message)


def test_the_document_keeps_its_schema() -> None:
    """--json is one document that its published schema accepts."""
    schema = json.loads((SCHEMAS / "explain-1.json").read_text(encoding="utf-8"))
    for words in (["/api/v2/courses"], ["--question", "current-courses", "--term", "current"]):
        code, out, _ = probes("explain", "--json", *words)
        document = json.loads(out)
        jsonschema.validate(document, schema)
        assert (code, document["schema"]) == (0, "probes.explain/1")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "There is nothing to explain: give a URL or a curl line in quotes, or --question NAME."),
        (["/x", "--question", "my-courses"], "Give a URL or --question, not both."),
        (["--question", "nonsense"], "There is no question 'nonsense'"),
        (["/x", "-i", "beta"], "No configuration"),
        (["curl", "-i", f"{HOST}/x"], "-i names an instance of the configuration: put the whole curl line in quotes."),
    ],
)
def test_bad_words(words: list[str], message: str) -> None:
    """Usage errors exit 2 with one sentence."""
    code, _, err = probes("explain", *words)
    assert (code, message in err) == (2, True)


def asked(server: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, dict[str, Any]]:
    monkeypatch.setenv("CANVAS_API_URL", server.url_for("").rstrip("/"))
    monkeypatch.setenv("CANVAS_API_TOKEN", "the-token")
    code, out, _ = probes("explain", "--json", "--out", str(tmp_path), "-i", "default", *words)
    return code, json.loads(out)


def test_an_instance_is_asked_once(httpserver: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With -i the right URL is asked once and its fields are explained; the run folder has that one line, and a report."""
    headers = {"X-Request-Cost": "0.2", "Link": '</api/v1/courses?page=2&per_page=100>; rel="next"'}
    httpserver.expect_request("/api/v1/courses", query_string="per_page=100").respond_with_json([], headers=headers)
    code, document = asked(httpserver, tmp_path, monkeypatch, "https://other.example/api/v2/courses")
    assert (code, document["answer"]["status"], document["answer"]["outcome"]) == (0, 200, "ok")
    assert [line["name"] for line in document["answer"]["headers"]][:2] == ['link rel="next"', 'link rel="last"']
    assert [request.headers["Authorization"] for request, _ in httpserver.log] == ["Bearer the-token"]
    run = Run.open(next(tmp_path.iterdir()))
    assert [one.call for one in run.observations()] == ["GET /api/v1/courses?per_page=100"]
    assert run.manifest["ended"] == "done"
    assert json.loads((run.folder / "report.json").read_text())["observations"] == 1


def test_what_was_asked_is_said(httpserver: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With -i the text says that the right URL was asked, and which it is: a wrong one would have answered otherwise."""
    httpserver.expect_request("/api/v1/users/self").respond_with_json({})
    monkeypatch.setenv("CANVAS_API_URL", httpserver.url_for("").rstrip("/"))
    monkeypatch.setenv("CANVAS_API_TOKEN", "the-token")
    _, out, _ = probes("explain", "--out", str(tmp_path), "-i", "default", "/api/v2/users/self")
    assert "\nAsked default for the right URL, GET /api/v1/users/self: 200: answered as asked.\n" in out


def test_a_refused_token_is_explained(httpserver: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A 401 is explained and exits 0: the advice is still something to tell."""
    httpserver.expect_request("/api/v1/users/self").respond_with_json({}, status=401, headers={"WWW-Authenticate": "Bearer"})
    code, document = asked(httpserver, tmp_path, monkeypatch, "/api/v1/users/self")
    assert (code, document["answer"]["outcome"]) == (0, "unauthorized")


def test_a_write_is_never_sent(httpserver: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that writes is explained and not sent, whether there is a right URL or none yet."""
    for task in ("delete", "remove"):
        code, document = asked(httpserver, tmp_path, monkeypatch, f"DELETE /api/v1/courses/1/enrollments/2?task={task}")
        assert (code, document["answer"], httpserver.log) == (0, None, [])


def test_nothing_is_asked_without_a_right_url(httpserver: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no right URL yet an instance is not asked, though the call reads."""
    code, document = asked(httpserver, tmp_path, monkeypatch, "/api/v1/courses/:course_id/users")
    assert (code, document["right"], document["answer"], httpserver.log) == (0, [], None, [])


def test_two_instances_are_one_too_many(httpserver: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than one -i is a usage error."""
    monkeypatch.setenv("CANVAS_API_URL", httpserver.url_for(""))
    code, _, err = probes("explain", "/x", "-i", "default", "-i", "default", "--out", str(tmp_path))
    assert (code, err) == (2, "explain asks one instance: give one -i.")


@pytest.mark.parametrize(
    ("text", "kind", "right"),
    [
        (f"curl {HOST}/api/v1/courses -d per_page=100", "list_by_post", f"{HOST}/api/v1/courses?per_page=100"),
        (
            f"curl {HOST}/api/v1/courses -d per_page=100 -d 'include[]=term'",
            "list_by_post",
            f"{HOST}/api/v1/courses?per_page=100&include[]=term",
        ),
        (
            f"{HOST}/api/v1/courses?include%255B%255D=term&per_page=100",
            "escaped_twice",
            f"{HOST}/api/v1/courses?include[]=term&per_page=100",
        ),
    ],
)
def test_lines_as_people_write_them(text: str, kind: str, right: str) -> None:
    """-d makes a POST of a list, names are encoded twice by tools: each is told and mended."""
    explanation = explain(text)
    assert [one for one in kinds(explanation) if one != "no_authorization"] == [kind]
    assert explanation.right is not None
    assert (explanation.right.method, explanation.right.url) == ("GET", right)


@pytest.mark.parametrize("body", ["-d 'course[name]=New'", "-d name=Group", "-F per_page=100", "-d @file"])
def test_a_post_that_was_meant(body: str) -> None:
    """A body that names something to make, or a form, is a POST that was meant."""
    assert "list_by_post" not in kinds(explain(f"curl {HOST}/api/v1/courses {body}"))
