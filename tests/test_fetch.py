"""`probes fetch` as its user has it: words in, lines out, exit codes; against a real server on loopback."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from pytest_httpserver import HTTPServer
from typer.testing import CliRunner
from werkzeug import Request, Response

from probes.cli import app
from probes.config import Instance
from probes.errors import ProbesError, UsageError
from probes.jobs.fetch import _sized, limiter_of, own_path
from probes.jobs.session import Settings
from probes.runs import Run

SCHEMAS = Path(__file__).parent.parent / "probes" / "schemas"


class Fetcher:
    """A server, an environment that names it, and the command."""

    def __init__(self, server: HTTPServer, out: Path) -> None:
        self.server = server
        self.out = out

    def list(self, count: int, size: int = 10, path: str = "/api/v1/things") -> None:
        """Serves a list of `count` items."""

        def handle(request: Request) -> Response:
            page, per = int(request.args.get("page", 1)), min(int(request.args.get("per_page", size)), 100)
            found = [{"id": number} for number in range(count)][(page - 1) * per : page * per]
            link = f'<{request.host_url.rstrip("/")}{path}?page={page + 1}&per_page={per}>; rel="next"' if page * per < count else ""
            return Response(json.dumps(found), content_type="application/json", headers={"Link": link} if link else {})

        self.server.expect_request(path).respond_with_handler(handle)

    def __call__(self, *words: str) -> tuple[int, str, str]:
        """(exit code, stdout, what was said)."""
        result = CliRunner().invoke(app, ["fetch", *words, "--out", str(self.out)])
        if isinstance(result.exception, ProbesError):
            return int(result.exception.exit_code), result.stdout, result.stderr + str(result.exception)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.stdout, result.stderr

    @property
    def run(self) -> Run:
        """The run that was kept."""
        return Run.open(next(self.out.iterdir()))


@pytest.fixture
def fetch(httpserver: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fetcher:
    monkeypatch.setenv("CANVAS_API_URL", httpserver.url_for("").rstrip("/"))
    monkeypatch.setenv("CANVAS_API_TOKEN", "the-token")
    return Fetcher(httpserver, tmp_path / "results")


def numbers(out: str) -> list[int]:
    return [json.loads(line)["id"] for line in out.splitlines()]


def test_every_page_as_lines(fetch: Fetcher) -> None:
    """With --all every item is one JSON line on stdout, in order; talk is on stderr; the calls are in a run folder."""
    fetch.list(230)
    code, out, said = fetch("/api/v1/things", "--all")
    assert (code, numbers(out)) == (0, list(range(230)))
    assert said == (f"Asking for per_page=100, as the path names none.\n230 items from 3 pages. Calls are kept in {fetch.run.folder}.\n")
    assert [one.facts["items"] for one in fetch.run.observations()] == [100, 100, 30]
    assert fetch.run.manifest["ended"] == "done"
    assert fetch.run.manifest["fetched"]["complete"] is True


def test_the_first_page_alone(fetch: Fetcher) -> None:
    """Without --all the first page comes as the server sizes it, and it is said that there are more."""
    fetch.list(26)
    code, out, said = fetch("things", "-i", "default")
    assert (code, numbers(out)) == (0, list(range(10)))
    assert said == f"10 items from 1 page. There are more pages: add --all. Calls are kept in {fetch.run.folder}.\n"


def test_pages_that_are_odd(fetch: Fetcher) -> None:
    """An empty page in between is counted, and an only page that is full without naming another is doubted, in the document too."""
    fetch.list(100, path="/api/v1/full")
    _, out, said = fetch("full", "--all", "--json")
    doubt = "The only page is full, and its Link header names no other: there may be more items; ask for page=2 to see."
    assert doubt in said
    assert (json.loads(out)["complete"], json.loads(out)["note"]) == (True, doubt)

    def handle(request: Request) -> Response:
        page = int(request.args.get("page", 1))
        link = {"Link": f'<{request.base_url}?page={page + 1}>; rel="next"'} if page < 3 else {}
        return Response("[]" if page == 2 else f'[{{"id": {page}}}]', content_type="application/json", headers=link)

    fetch.server.expect_request("/api/v1/holes").respond_with_handler(handle)
    assert "2 items from 3 pages (1 of them empty, though more followed). Calls" in fetch("holes", "--all")[2]


def test_quiet_says_nothing(fetch: Fetcher) -> None:
    """--quiet leaves stderr empty."""
    fetch.list(3)
    assert fetch("things", "--all", "--quiet")[2] == ""


def test_one_document(fetch: Fetcher) -> None:
    """--json is one document with all items that its published schema accepts."""
    fetch.list(12)
    code, out, _ = fetch("things?per_page=5", "--all", "--json")
    document = json.loads(out)
    jsonschema.validate(document, json.loads((SCHEMAS / "fetch-1.json").read_text(encoding="utf-8")))
    assert code == 0
    assert document == {
        "schema": "probes.fetch/1",
        "run": str(fetch.run.folder),
        "path": "/api/v1/things?per_page=5",
        "pages": 3,
        "count": 12,
        "complete": True,
        "ended": "complete",
        "note": None,
        "next": None,
        "items": [{"id": number} for number in range(12)],
    }


def test_refused_credentials(fetch: Fetcher) -> None:
    """A token that every call refuses exits 5; the report is there and says so."""
    fetch.server.expect_request("/api/v1/things").respond_with_json({}, status=401, headers={"WWW-Authenticate": "Bearer"})
    code, out, said = fetch("things", "--all", "--quiet")
    assert (code, out) == (5, "")
    assert said == "Every call was refused for its credentials (401): check the token; probes diagnose says more."
    report = json.loads((fetch.run.folder / "report.json").read_text())
    assert [finding["kind"] for finding in report["findings"]] == ["credentials"]


def test_a_failure_in_the_middle(fetch: Fetcher) -> None:
    """A list that is not whole exits 1, with what there was on stdout and the reason said."""
    fetch.server.expect_request("/api/v1/things", query_string="per_page=100").respond_with_json(
        [{"id": 1}], headers={"Link": '</api/v1/things?page=2>; rel="next"'}
    )
    fetch.server.expect_request("/api/v1/things", query_string="page=2").respond_with_json(
        {}, status=401, headers={"WWW-Authenticate": "x"}
    )
    code, out, said = fetch("things", "--all", "--quiet")
    assert (code, numbers(out)) == (1, [1])
    assert said == (
        "The list is not whole: 1 item from 2 pages. Page 2 failed, unauthorized (401); the pages before it are whole. "
        f"Calls are kept in {fetch.run.folder}.\nGo on with: probes fetch '/api/v1/things?page=2' --all"
    )


def test_a_redirect_says_where_to(fetch: Fetcher) -> None:
    """A list that is sent elsewhere exits 1 and names the place, without its path."""
    fetch.server.expect_request("/api/v1/things").respond_with_data("", 302, {"Location": "https://sso.school.example/login?next=x"})
    code, out, said = fetch("things", "--all", "--quiet")
    assert (code, out) == (1, "")
    assert said == (
        "The list is not whole: 0 items from 1 page. Page 1 failed, redirected (302): it leads to https://sso.school.example, "
        f"where your token was not sent; nothing was read. Calls are kept in {fetch.run.folder}."
    )


def test_items_that_come_again_are_counted(fetch: Fetcher) -> None:
    """Items whose id came before, on the same page or an earlier one, are left out, and it is said how many."""
    first, second = [{"id": 1}, {"id": 1}, {"id": 2}], [{"id": 2}, {"id": 3}]
    link = '</api/v1/things?page=2>; rel="next"'
    fetch.server.expect_request("/api/v1/things", query_string="per_page=100").respond_with_json(first, headers={"Link": link})
    fetch.server.expect_request("/api/v1/things", query_string="page=2").respond_with_json(second)
    code, out, said = fetch("things", "--all")
    assert (code, numbers(out)) == (0, [1, 2, 3])
    assert said.splitlines()[-1] == (
        f"3 items from 2 pages, 2 more left out, as they had come before. Calls are kept in {fetch.run.folder}."
    )


def test_a_list_in_a_circle_as_a_document(fetch: Fetcher) -> None:
    """With --json the document comes first, not complete, then the exit code 1."""
    fetch.server.expect_request("/api/v1/things").respond_with_json(
        [{"id": 1}], headers={"Link": '</api/v1/things?per_page=100>; rel="next"'}
    )
    code, out, _ = fetch("things", "--all", "--json")
    document = json.loads(out)
    assert (code, document["complete"], document["ended"], document["items"]) == (1, False, "loop", [{"id": 1}])


def test_a_refusal_is_waited_for(fetch: Fetcher) -> None:
    """A page that is refused once is asked again after the server's wait; both calls are kept."""
    refusal = Response("429 (Rate Limit Exceeded)", 429, headers={"Retry-After": "0.2", "X-Rate-Limit-Remaining": "45.0"})
    answers = iter([refusal, Response("[]", content_type="application/json", headers={"X-Rate-Limit-Remaining": "600.0"})])
    fetch.server.expect_request("/api/v1/things").respond_with_handler(lambda _request: next(answers))
    code, _, _ = fetch("things", "--all")
    assert code == 0
    assert [one.outcome.value for one in fetch.run.observations()] == ["throttled", "ok"]


def test_tokens_in_items_are_hidden(fetch: Fetcher) -> None:
    """What has the shape of a token never reaches the output."""
    fetch.server.expect_request("/api/v1/things").respond_with_json([{"id": 1, "note": "9~" + "a" * 40}])
    assert fetch("things")[1] == '{"id": 1, "note": "[token]"}\n'


def test_a_ceiling_stops(fetch: Fetcher, tmp_path: Path) -> None:
    """A spent max_requests exits 4; the items before it are out and the run says so."""
    fetch.list(500)
    url = fetch.server.url_for("").rstrip("/")
    config = tmp_path / "probes.toml"
    config.write_text(f'[instances.beta]\nurl = "{url}"\nmax_requests = 2\n', encoding="utf-8")
    code, out, said = fetch("things", "--all", "--config", str(config))
    assert (code, len(numbers(out))) == (4, 200)
    assert said.endswith("Instance 'beta' allows max_requests = 2 a run, and that many were sent.")
    assert fetch.run.manifest["ended"].startswith("guard: ")
    go_on = f"Go on with: probes fetch '/api/v1/things?page=3&per_page=100' -i beta --config {config} --all"
    assert said.splitlines()[1:3] == ["200 items from 2 pages.", go_on]


def test_the_rest_is_read_by_the_command_that_was_told(fetch: Fetcher, tmp_path: Path) -> None:
    """A list that broke off goes on where it stood: both commands together bring every item once."""
    fetch.list(250)
    fetch.server.expect_ordered_request("/api/v1/things", query_string="per_page=100").respond_with_json(
        [{"id": number} for number in range(100)], headers={"Link": '</api/v1/things?page=2&per_page=100>; rel="next"'}
    )
    fetch.server.expect_ordered_request("/api/v1/things", query_string="page=2&per_page=100").respond_with_data("", 504)
    code, first, said = fetch("things", "--all", "--json")
    document = json.loads(first)
    assert (code, document["next"]) == (1, "/api/v1/things?page=2&per_page=100")
    command = shlex.split(said.partition("Go on with: probes fetch ")[2])
    code, rest, _ = fetch(*command)
    assert (code, [item["id"] for item in document["items"]] + numbers(rest)) == (0, list(range(250)))


def test_which_instance(fetch: Fetcher, tmp_path: Path) -> None:
    """With several instances configured one must be named; an unknown one exits 2."""
    config = tmp_path / "probes.toml"
    config.write_text('[instances.a]\nurl = "http://127.0.0.1:1"\n[instances.b]\nurl = "http://127.0.0.1:1"\n', encoding="utf-8")
    assert fetch("things", "--config", str(config))[::2] == (2, "Which instance? Give -i with one of a, b.")
    code, _, said = fetch("things", "--config", str(config), "-i", "c")
    assert (code, "There is no instance 'c'" in said) == (2, True)


def test_a_version_that_does_not_exist(fetch: Fetcher) -> None:
    """A 404 with a web page says that the path is wrong and what to do next."""
    fetch.server.expect_request("/api/v2/courses").respond_with_data("<!DOCTYPE html>", 404, content_type="text/html")
    code, _, said = fetch("/api/v2/courses")
    assert code == 1
    assert said.startswith(
        "The list is not whole: 0 items from 1 page. Page 1 failed, not_found (404): a web page came: no such path in this API, "
        "'probes explain' says more; nothing was read."
    )


def test_nobody_answers(fetch: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is not there exits 1 with one sentence."""
    monkeypatch.setenv("CANVAS_API_URL", "http://127.0.0.1:1")
    code, _, said = fetch("things", "--quiet")
    assert code == 1
    assert said.startswith("The list is not whole: 0 items from 1 page. Page 1 failed, no connection could be made: probes diagnose -i ")


@pytest.mark.slow
def test_a_reader_that_has_enough(fetch: Fetcher) -> None:
    """`probes fetch ... | head -1` ends with 0 and without a word of complaint; the run says why it ended."""
    fetch.list(5000)
    command = f"set -o pipefail; {sys.executable} -m probes fetch things --all --quiet --out {fetch.out} | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, '{"id": 0}\n', "")
    assert fetch.run.manifest["fetched"]["note"] in {"Whoever read the lines had enough.", None}
    assert fetch.run.manifest["ended"] == "done"


HERE = Instance("here", "https://school.instructure.com")


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("courses", "/api/v1/courses"),
        ("api/v1/courses", "/api/v1/courses"),
        ("/api/v1/courses?x=1", "/api/v1/courses?x=1"),
        ("https://school.instructure.com/api/v1/courses?x=1", "/api/v1/courses?x=1"),
        ("https://SCHOOL.instructure.com:443/x", "/x"),
    ],
)
def test_a_path_as_people_write_it(path: str, asked: str) -> None:
    """A word, a path, or the instance's own URL."""
    assert own_path(path, HERE) == asked


@pytest.mark.parametrize(
    ("path", "instance", "message"),
    [
        (
            "https://evil.example/api/v1/courses?access_token=abc",
            HERE,
            r"^https://evil\.example/api/v1/courses\?access_token=\[redacted\] is not on ",
        ),
        ("http://school.instructure.com/x", HERE, "only the configured instance is asked"),
        ("courses", Instance("x", "https://x", dialect="github"), "it must begin with /"),
        (" ", HERE, "Which list?"),
    ],
)
def test_a_path_elsewhere(path: str, instance: Instance, message: str) -> None:
    """Another host, another scheme, a bare word where no prefix is known: UsageError."""
    with pytest.raises(UsageError, match=message):
        own_path(path, instance)


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/x", "/x?limit=100"),
        ("/x?limit=5", "/x?limit=5"),
        ("/x?a=1&limit=", "/x?a=1&limit="),
        ("/x?rate_limit=5", "/x?rate_limit=5&limit=100"),
        ("/x?q=limit=5", "/x?q=limit=5&limit=100"),
        ("/x?page=2", "/x?page=2"),
    ],
)
def test_a_page_size_is_asked_for_where_none_is(path: str, asked: str) -> None:
    """The greatest page size is asked for unless the path has that very parameter, or is of a page in the middle."""
    assert _sized(path, Instance("x", "https://x", dialect="blackboard"), Settings(quiet=True)) == asked


def test_only_a_bucket_has_a_limiter() -> None:
    """Canvas is read through its limiter, other dialects are not."""
    assert limiter_of(HERE) is not None
    assert limiter_of(Instance("x", "https://x", dialect="gitlab")) is None
