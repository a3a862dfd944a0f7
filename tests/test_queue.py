"""The import queue as a person asks of it: what hangs and what only waits, whose turn it is, and what jobs say of themselves."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from asked import seen

from probes import findings
from probes.findings import Finding, Severity
from probes.observation import Observation
from probes.report.queues import told
from probes.scenarios import Options

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
LIST = "/api/v1/accounts/self/sis_imports"
Import = dict[str, Any]


def at(ago_s: float | None) -> str | None:
    return None if ago_s is None else (NOW - timedelta(seconds=ago_s)).isoformat().replace("+00:00", "Z")


def one(number: int, state: str, created: float, started: float | None = None, ended: float | None = None, progress: int = 0) -> Import:
    """An import; times in seconds before now."""
    times = {"created_at": at(created), "started_at": at(started), "ended_at": at(ended)}
    return {"id": number, "workflow_state": state, "progress": progress, **times}


def past(count: int, run_s: float = 300.0, wait_s: float = 60.0, newest_s: float = 7200.0) -> list[Import]:
    """Imports that were done, the newest first, an hour apart."""
    ends = [newest_s + 3600.0 * n for n in range(count)]
    return [one(800 - n, "imported", end + run_s + wait_s, end + run_s, end, 100) for n, end in enumerate(ends)]


def server(imports: list[Import], *, size: int = 100, last_page: int = 99, importing: list[Import] | None = None) -> Any:
    """A root account with these imports, the newest first; pages beyond `last_page` fail."""
    working = [found for found in imports if found["workflow_state"] == "importing"] if importing is None else importing

    def script(request: httpx.Request) -> httpx.Response:
        path, page = request.url.path, int(request.url.params.get("page", 1))
        headers = {"Date": NOW.strftime("%a, %d %b %Y %H:%M:%S GMT")}
        if path == f"{LIST}/importing":
            return httpx.Response(200, json={"sis_imports": working}, headers=headers, request=request)
        if path == LIST and page <= last_page:
            if page * size < len(imports):
                headers["Link"] = f'<http://127.0.0.1:8000{LIST}?page={page + 1}&per_page=100>; rel="next"'
            return httpx.Response(200, json={"sis_imports": imports[(page - 1) * size : page * size]}, headers=headers, request=request)
        named = [found for found in imports if path == f"{LIST}/{found['id']}"]
        return httpx.Response(200 if named else 404, json=named[0] if named else {}, headers=headers, request=request)

    return script


def asked(imports: list[Import], mine: str | None = None, **more: Any) -> tuple[list[Observation], dict[str, list[Finding]]]:
    """What the scenario sees, and its findings by kind."""
    lines = seen("queue", script=server(imports, **more), options=Options(extra={"import": mine} if mine else {}))
    found: dict[str, list[Finding]] = {}
    for finding in findings.judge(lines):
        found.setdefault(finding.kind, []).append(finding)
    return lines, found


def says(imports: list[Import], kind: str, **more: Any) -> str:
    """The sentence of the one finding of that kind."""
    (finding,) = asked(imports, **more)[1][kind]
    return finding.says


RUNS = [1200.0, 2400.0, 1800.0, 1500.0, 2300.0, 1300.0, 1250.0, 2500.0, 1700.0, 1900.0]
LONG = [
    one(902, "created", 2400.0),
    one(901, "importing", 2700.0, 2100.0, progress=80),
    *(one(800 - n, "imported", 9000 + 4000.0 * n + 60 + r, 9000 + 4000.0 * n + r, 9000 + 4000.0 * n) for n, r in enumerate(RUNS)),
]
"""901 has run 35 minutes, others 20 to 42; 902 has waited behind it for 40."""


def test_a_long_queue_is_a_queue() -> None:
    """What waits behind an import that runs no longer than others do does not hang, however short past waits were."""
    found = asked(LONG)[1]
    assert "import_stuck" not in found
    assert found["backlog"][0].says == (
        "The import queue of test now: 1 waiting, 1 running; a new one would wait about 34 min (by 10 past runs)."
    )
    assert found["backlog"][0].advice.startswith("It is a queue, not a hang")


def test_what_is_left_goes_by_past_runs_that_took_longer() -> None:
    """The rest of one at work is the median over past runs that were longer than it is until now, and never nothing."""
    assert says(LONG, "import_place", mine="901") == (
        "Import 901 of test is at work, importing for 35 min, 80 %: about 5 min are left (by 10 past runs)."
    )


def test_the_import_that_hangs_is_named() -> None:
    """One at work for far longer than any past one is named, no wait is promised, and nothing is called a queue."""
    found = asked([one(902, "created", 20_000), one(901, "importing", 30_000, 29_000, progress=3), *past(20, newest_s=40_000)])[1]
    (stuck,), (backlog,) = found["import_stuck"], found["backlog"]
    assert stuck.severity is Severity.ERROR
    assert stuck.says == (
        "Import 901 of test seems to hang: importing for 8.1 h, 3 %; the longest of 20 past runs took 5 min. 1 import waits behind it."
    )
    assert "or abort it: PUT /api/v1/accounts/self/sis_imports/901/abort" in stuck.advice
    assert backlog.says.endswith("1 waiting, 1 running; how long a new one waits is not known, as import 901 seems to hang.")
    assert backlog.advice == "Do not send it again: it would stand behind those that wait."


def test_one_that_runs_longer_than_any_is_no_hang_yet() -> None:
    """An import a few times as long as past ones makes the wait a least one, without an alarm."""
    found = asked([one(903, "created", 600), one(901, "cleanup_batch", 5000, 4800, progress=12), *past(20, run_s=1200, newest_s=9000)])[1]
    assert "import_stuck" not in found
    assert found["backlog"][0].says.endswith(
        "a new one would wait at least 20 min (by 20 past runs, all shorter than import 901 already is)."
    )


@pytest.mark.parametrize(("count", "usual"), [(0, "no past import to judge by"), (3, "the longest of 3 past waits was 60 s")])
def test_what_nothing_takes_up_is_no_queue(count: int, usual: str) -> None:
    """An import that has waited a day while nothing is at work is an error, also where few past ones or none can be compared."""
    found = asked([one(901, "created", 90_000), *past(count, newest_s=200_000)])[1]
    (stuck,) = found["import_stuck"]
    assert stuck.says == f"Import 901 of test has waited 25.0 h, and nothing is at work that it waits for; {usual}."
    assert "is not known" in found["backlog"][0].says
    assert "It is a queue" not in found["backlog"][0].advice


def test_between_two_imports_nothing_hangs() -> None:
    """Where one has just ended nothing is at work for a moment: what has waited for hours behind it is not stuck."""
    found = asked([one(902, "created", 9000), *past(20, run_s=8000, newest_s=30)])[1]
    assert "import_stuck" not in found
    assert found["backlog"][0].advice == "Nothing is at work yet: look again in a quarter of an hour. Do not send it again."


@pytest.mark.parametrize("size", [100, 50])
def test_a_queue_longer_than_a_page_is_counted(size: int) -> None:
    """Pages are read until an import shows that was done, whatever size the server gives them."""
    imports = [one(1000 - n, "created", 100.0 + n) for n in range(150)] + [one(850, "importing", 900, 200), *past(30)]
    lines, found = asked(imports, size=size)
    assert found["backlog"][0].says.startswith("The import queue of test now: 150 waiting, 1 running; a new one would wait about")
    assert [line.path.partition("?")[0] for line in lines] == [LIST] * (150 // size + 1) + [f"{LIST}/importing"]
    assert {line.call for line in lines[:-1]} == {f"GET {LIST}?per_page=100"}
    assert told(lines[-1].facts)["running"] == 1


def test_a_queue_that_was_not_read_whole_is_a_least_one() -> None:
    """After five pages, or where one fails, there are at least so many; the one at work is known from the list of these."""
    imports = [one(2000 - n, "created", 100.0 + n) for n in range(700)] + [one(850, "importing", 9000, 600), *past(3)]
    lines, found = asked(imports)
    assert len(lines) == 6
    assert found["backlog"][0].says == (
        "The import queue of test now: at least 500 waiting, 1 running; how long a new one waits is not known: no past import to judge by."
    )
    assert asked(imports, last_page=1)[1]["backlog"][0].says.startswith("The import queue of test now: at least 100 waiting, 1 running;")


def test_an_aborted_one_does_not_end_the_reading() -> None:
    """An import that was aborted while it waited says nothing of those that are older."""
    imports = [one(200 - n, "aborted" if n == 3 else "created", 100.0 + n) for n in range(120)] + past(5)
    assert says(imports, "backlog").startswith("The import queue of test now: 119 waiting, 0 running;")


def test_states_that_are_not_known_count() -> None:
    """A state of no list waits, unless its times say that it has begun or ended."""
    strange = [
        one(905, "queued_for_shard", 600),
        one(904, "throttled", 900),
        one(903, "diffing", 1100, 1000),
        one(902, "merged", 2000, 1900, 1800),
    ]
    lines, found = asked([*strange, *past(20)])
    assert lines[0].facts["queue"] == [[903, "diffing", 1000.0, 0], [904, "throttled", 900.0, 0], [905, "queued_for_shard", 600.0, 0]]
    assert "2 waiting, 1 running" in found["backlog"][0].says
    assert told(lines[0].facts)["oldest_wait_s"] == 900.0


def test_a_restore_is_as_old_as_its_last_change() -> None:
    """An old import that is being restored has not been at work since it was first begun."""
    restoring = {**one(700, "restoring", 900_000, 899_000, 898_000), "updated_at": at(120)}
    lines, found = asked([*past(5), restoring])
    assert lines[0].facts["queue"] == [[700, "restoring", 120.0, 0]]
    assert "import_stuck" not in found


@pytest.mark.parametrize(
    ("states", "severity", "sentence"),
    [
        (
            ["failed_with_messages", "imported", "failed"],
            Severity.WARNING,
            "1 failed_with_messages, 1 failed; the last import that ended is 905, failed_with_messages.",
        ),
        (
            ["imported", "aborted"],
            Severity.INFO,
            "1 aborted; the last of these is 904, aborted.",
        ),
        (
            ["imported_with_messages"],
            Severity.INFO,
            "1 imported_with_messages; the last import that ended is 905, imported_with_messages.",
        ),
    ],
)
def test_imports_that_did_not_end_well(states: list[str], severity: Severity, sentence: str) -> None:
    """Endings that are not well are counted; a warning is the last one only, and where it failed."""
    bad = [one(905 - n, state, 4000.0 + 100 * n, 3900.0 + 100 * n, 3800.0 + 100 * n) for n, state in enumerate(states)]
    (finding,) = asked([*bad, *past(4)])[1]["import_failed"]
    assert finding.says == f"Of {4 + len(states)} past SIS imports of test not all ended well: {sentence}"
    assert finding.severity is severity


@pytest.mark.parametrize(
    ("mine", "severity", "sentence"),
    [
        (
            "903",
            Severity.INFO,
            "Import 903 of test waits, created for 10 min, 0 %: 2 imports stand before it; it would wait about 28 min (by 20 past runs).",
        ),
        ("901", Severity.INFO, "Import 901 of test is at work, importing for 12 min, 40 %: about 8 min are left (by 20 past runs)."),
        ("800", Severity.INFO, "Import 800 of test is over, imported: it waited 60 s, then ran for 20 min."),
        ("7", Severity.WARNING, "Import 7 of test cannot be read (404, not_found)."),
    ],
)
def test_the_place_of_one_import(mine: str, severity: Severity, sentence: str) -> None:
    """`--import` tells who is before an import and for how long, what is left of one at work, how one went that is over."""
    queue = [one(903, "created", 600), one(902, "created", 900), one(901, "importing", 1500, 700, progress=40)]
    lines, found = asked([*queue, *past(20, run_s=1200)], mine=mine)
    (finding,) = found["import_place"]
    assert (finding.severity, finding.says) == (severity, sentence)
    assert len(lines) == (3 if mine == "7" else 2)
    if mine == "903":
        assert finding.evidence == ("import 901: importing for 12 min, 40 %", "import 902: created for 15 min, 0 %")


def test_the_first_in_the_queue() -> None:
    """With nothing before it an import should start soon."""
    assert says([one(903, "created", 60), *past(9)], "import_place", mine="903") == (
        "Import 903 of test waits, created for 60 s, 0 %: no import stands before it; it should start soon."
    )


def test_an_old_import_is_asked_for_by_itself() -> None:
    """An import that stands on no page that was read is read by its id."""
    lines, found = asked([*past(150)], mine="660")
    assert lines[-1].path == f"{LIST}/660"
    assert found["import_place"][0].says == "Import 660 of test is over, imported: it waited 60 s, then ran for 5 min."


def test_no_import_yet() -> None:
    """Where there was no import yet that is said, and no wait is told."""
    found = asked([])[1]
    assert found["no_imports"][0].says == "test has had no SIS import yet."
    assert found["queue_empty"][0].says == (
        "Nothing waits in the import queue of test now; how long a new import would wait is not known: no past import to judge by."
    )


def test_an_empty_queue_is_told_by_imports_that_found_it_empty() -> None:
    """Waits behind other imports say nothing of one that finds the queue empty; where none did, only that nothing waits is told."""
    behind = [one(number, "imported", 9000, 5400 - 600 * (number - 700), 5000 - 600 * (number - 700)) for number in (703, 702, 701, 700)]
    assert says(behind, "queue_empty") == "Nothing waits in the import queue of test now."
    alone = [one(712, "imported", 2000, 1970, 1900), one(711, "imported", 3000, 2960, 2900)]
    assert says([*alone, *behind], "queue_empty") == (
        "Nothing waits in the import queue of test now; 2 past imports that found it empty started within 40 s."
    )


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (
            403,
            {"errors": ["SIS imports are not enabled for this account"]},
            "The import queue of test cannot be read (403): SIS imports are not enabled for this account.",
        ),
        (
            400,
            {"errors": ["SIS imports can only be executed on root accounts"]},
            "The import queue of test cannot be read (400): SIS imports can only be executed on root accounts.",
        ),
        (
            403,
            {"status": "unauthorized", "errors": [{"message": "user not authorized to perform that action"}]},
            "The import queue of test is unknown: needs permission 'Import SIS data' (403).",
        ),
        (200, {"login": "please"}, "The import queue of test cannot be read (200): what came is no list of imports."),
        (502, {}, "The import queue of test cannot be read (502, gateway_error)."),
    ],
)
def test_the_server_s_own_reason(status: int, body: Any, sentence: str) -> None:
    """What the server says of its refusal is told, and only a missing permission is called one."""
    lines = seen("queue", script=lambda request: httpx.Response(status, json=body, request=request))
    found = {finding.kind: finding.says for finding in findings.judge(lines)}
    assert found["queue_unreadable"] == sentence
    assert ("permission" in found) is ("needs permission" in sentence)


def job(*bodies: dict[str, Any], status: int = 200) -> Callable[[httpx.Request], httpx.Response]:
    left = list(bodies)

    def script(request: httpx.Request) -> httpx.Response:
        if "progress" not in request.url.path:
            return server([])(request)  # type: ignore[no-any-return]
        body = left.pop(0) if len(left) > 1 else left[0]
        times = {"created_at": at(4000), "updated_at": at(3900)}
        return httpx.Response(status, json={"id": 77, **times, **body} if status == 200 else body, request=request)

    return script


@pytest.mark.parametrize(
    ("script", "polls", "sentence"),
    [
        (
            job({"workflow_state": "failed", "completion": 30, "message": "Unexpected error, ID: 4711"}),
            1,
            "failed at 30 %: Unexpected error, ID: 4711; it was done or at work at the first look, so it waited 100 s at most; n = 1 poll.",
        ),
        (
            job({"workflow_state": "paused", "completion": 10}, {"workflow_state": "completed", "completion": 100}),
            2,
            "is completed; how long it waited is not known; n = 2 polls.",
        ),
        (
            job({"errors": [{"message": "The specified resource does not exist."}]}, status=404),
            1,
            "cannot be read (404, not_found): The specified resource does not exist.",
        ),
    ],
)
def test_what_a_job_says(script: Any, polls: int, sentence: str) -> None:
    """A job's own message is told; a state that is not known goes on; one that is not there is said to be so."""
    lines = seen("queue", script=script, options=Options(extra={"progress": ("77",)}))
    assert [finding.says for finding in findings.judge(lines) if finding.kind == "progress"] == [f"Background job 77 of test {sentence}"]
    assert len([line for line in lines if "/progress/" in line.path]) == polls
