from __future__ import annotations

import json
import shlex
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from probes.calls import parse
from probes.config import Instance, Kind
from probes.errors import UsageError
from probes.findings import Severity
from probes.guards import GuardLimits
from probes.jobs.load import OPTIONS, Asked, _stop, findings, line, plan_of, text, words_of
from probes.load.outcome import LoadOutcome, LoadProgress, Reckoning, lines_from, percentile, percentiles
from probes.load.plan import LoadPlan
from probes.load.reckoning import reckon
from probes.runs import Run

SELF = parse("GET /api/v1/users/self")
INSTANCE = Instance("sim", "http://127.0.0.1:1", Kind.SIMULATED, allow_load=True, secret="the-token")
EVEN = {"kind": "even", "rate_per_s": 10.0}
OUTCOME = LoadOutcome(
    asked_per_s=10.0,
    offered_per_s=10.0,
    achieved_per_s=9.5,
    requests=100,
    refused=0,
    late_share=0.0,
    stopped_by=None,
    why=None,
    latency_s={"p50": 0.1, "p90": 0.2, "p95": 0.25, "p99": None},
    punctuality_s={"p50": 0.0, "p90": 0.0, "p95": 0.0, "p99": None},
    errors=0,
    outcomes={"ok": 100},
    unsent=0,
    start_s=1.0,
    seconds=10.0,
    least_remaining=550.0,
    limit_per_s=None,
)


def record(due: float, *, sent: float | None = None, received: float | None = None, **more: object) -> dict[str, object]:
    status = None if received is None else 200
    return {
        "due_s": due,
        "sent_s": sent,
        "received_s": received,
        "status": status,
        "outcome": "ok",
        "pool_s": 0.0,
        "remaining": None,
        **more,
    }


def test_a_plan_never_carries_its_token() -> None:
    """The document for the child holds neither the token nor where it is; everything else arrives."""
    document = LoadPlan(replace(INSTANCE, token_env=None), (SELF,), EVEN, 5.0).document(report_fd=7)
    assert "the-token" not in json.dumps(document)
    assert not {"secret", "token_env", "token_file"} & set(document["instance"])
    assert (document["max_in_flight"], document["limits"]["max_refusals"], document["report_fd"]) == (64, 0, 7)


@pytest.mark.parametrize(
    ("ceiling", "asked", "rate", "in_flight"),
    [(None, None, 10, 64), (None, None, 100, 400), (12, None, 10, 12), (12, 5, 10, 5), (None, 1, 10, 1), (None, None, 1000, 1000)],
)
def test_in_flight(ceiling: int | None, asked: int | None, rate: float, in_flight: int) -> None:
    """What is asked for, else the ceiling, else enough for a stall of four seconds."""
    plan = LoadPlan(replace(INSTANCE, max_in_flight=ceiling), (SELF,), {"kind": "even", "rate_per_s": rate}, 5.0, max_in_flight=asked)
    assert plan.in_flight == in_flight


def test_the_smaller_limit_of_requests_holds() -> None:
    """The instance's ceiling and the plan's own: the smaller."""
    bounded = replace(INSTANCE, max_requests=50)

    def most(instance: Instance, asked: int | None) -> Any:
        return LoadPlan(instance, (SELF,), EVEN, 5.0, limits=GuardLimits(max_requests=asked)).document()["limits"]["max_requests"]

    assert (most(bounded, 80), most(bounded, 20), most(bounded, None), most(INSTANCE, None)) == (50, 20, 50, None)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"calls": ()}, "nothing to load with"),
        ({"duration_s": 0.0}, "must last longer than 0 s"),
        ({"schedule": {}}, "There is no schedule 'None'"),
        ({"users": 0}, "at least one user"),
        ({"users": 2, "workers": 2}, "runs in one process"),
        ({"workers": -1}, "Workers must be 0 or more"),
        ({"max_in_flight": 0}, "in flight 1 or more"),
        ({"instance": replace(INSTANCE, max_rate=5.0)}, "above max_rate = 5"),
        ({"instance": replace(INSTANCE, max_in_flight=3), "users": 4}, "above max_in_flight = 3"),
        ({"instance": replace(INSTANCE, max_in_flight=3), "max_in_flight": 4}, "above max_in_flight = 3"),
        ({"calls": (parse("POST /api/v1/courses/1/enrollments"),)}, "allow_writes"),
    ],
)
def test_plans_that_make_no_sense(changes: dict[str, object], says: str) -> None:
    """Each is refused before anything is started."""
    values: dict[str, object] = {"instance": INSTANCE, "calls": (SELF,), "schedule": EVEN, "duration_s": 5.0, **changes}
    with pytest.raises(UsageError, match=says):
        LoadPlan(**values)  # type: ignore[arg-type] # that is the point


def test_order_statistics() -> None:
    """The percentile is a value that was seen, and none where it falls among those that never came."""
    ordered = [float(n) for n in range(1, 101)]
    assert [percentile(ordered, share) for share in (0.5, 0.95, 0.99, 1.0)] == [50.0, 95.0, 99.0, 100.0]
    assert percentile(ordered, 0.95, beyond=10) is None
    assert percentile(ordered, 0.5, beyond=10) == 55.0


@pytest.mark.parametrize(
    ("n", "told"), [(5, ""), (6, "p50"), (35, "p50"), (36, "p50 p90"), (72, "p50 p90 p95"), (367, "p50 p90 p95"), (368, "p50 p90 p95 p99")]
)
def test_no_percentile_that_n_cannot_carry(n: int, told: str) -> None:
    """Least n by order statistics: p50 6, p90 36, p95 72, p99 368."""
    assert [name for name, value in percentiles([1.0] * n).items() if value is not None] == told.split()


def test_reckoning() -> None:
    """Latency counts from due, of calls that were answered and not refused; a call without an answer ranks above all."""
    seen = Reckoning(
        [
            record(1.0, sent=1.0, received=1.2, remaining=590.0),
            record(2.0, sent=2.5, received=2.6, pool_s=0.5, remaining=540.0),
            record(3.0, sent=3.0, received=3.1, outcome="throttled"),
            record(3.0, sent=3.05, outcome="throttled"),  # its end was not seen
            record(4.0, sent=4.0, outcome="read_timeout"),
            record(5.0, outcome="connect_error"),
        ],
        until_s=3.5,
    )
    assert [round(value, 6) for value in seen.latencies] == [0.2, 0.6]
    assert (seen.requests, seen.late, seen.without_answer, seen.in_time) == (6, 1, 2, 4)
    assert (seen.least_remaining, seen.first_refusal_s, seen.last_sent_s) == (540.0, 3.05, 4.0)


def test_broken_lines_are_left_out(tmp_path: Path) -> None:
    """After a kill the last line may be half a line; records before the load began are not its own."""
    path = tmp_path / "observations.jsonl"
    path.write_bytes(b'{"old": 1}\n{"a": 1}\nnot json\n{"b": 2}\n{"c":')
    assert list(lines_from(path, 11)) == [{"a": 1}, {"b": 2}]


def report(**changes: object) -> dict[str, object]:
    return {
        "kind": "end",
        "start_s": 0.0,
        "now_s": 12.0,
        "ended_s": 11.0,
        "handed": 100,
        "unsent": 0,
        "stopped_by": None,
        "why": None,
        **changes,
    }


def outcome_of(tmp_path: Path, records: list[dict[str, object]], said: dict[str, object], *, killed: bool = False) -> LoadOutcome:
    path = tmp_path / "observations.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in records))
    return reckon(LoadPlan(INSTANCE, (SELF,), EVEN, 10.0), said, path, 0, killed=killed)


def test_a_load_that_kept_up(tmp_path: Path) -> None:
    """Offered and achieved count over the schedule's time, not the child's."""
    came = outcome_of(tmp_path, [record(n / 10, sent=n / 10, received=n / 10 + 0.05) for n in range(100)], report())
    assert (came.offered_per_s, came.achieved_per_s, came.late_share, came.limit_per_s) == (10.0, 10.0, 0.0, None)
    assert came.latency_s == {"p50": 0.05, "p90": 0.05, "p95": 0.05, "p99": None}


def test_a_load_that_could_not_keep_up(tmp_path: Path) -> None:
    """Where users were too few the outcome says at which rate, and due times that came to nothing push the percentiles out of reach."""
    sent = [record(n / 10, sent=n / 5, received=n / 5 + 0.05, pool_s=n / 10) for n in range(60)]
    came = outcome_of(tmp_path, sent, report(unsent=40))
    assert (came.offered_per_s, came.achieved_per_s, came.limit_per_s) == (10.0, 5.1, 5.1)
    assert came.late_share == 0.99
    assert came.latency_s["p90"] is None
    assert "generator or in-flight limit reached at 5.1/s; 99.0 % of the requests were late." in text("sim", came, "results/x")
    assert [(found.kind, found.severity) for found in findings("sim", came)] == [("own_wait", Severity.WARNING)]


def test_a_load_that_a_guard_stopped(tmp_path: Path) -> None:
    """Rates count until the stop; lateness then says nothing of the generator."""
    came = outcome_of(tmp_path, [record(0.0, sent=0.0, received=0.1)], report(ended_s=2.0, handed=20, stopped_by="errors", why="So."))
    assert (came.offered_per_s, came.seconds, came.limit_per_s, came.stopped_by, came.why) == (10.0, 2.0, None, "errors", "So.")


def test_what_a_stop_held_back_is_neither_late_nor_punctual(tmp_path: Path) -> None:
    """Of a stopped load lateness is told of what was sent, however many due times one process or several had handed out by then."""
    sent = [record(n / 10, sent=n / 10 + late, received=n / 10 + 0.5, pool_s=late) for n, late in enumerate((0.0, 0.0, 0.2, 0.3))]
    shares = [
        outcome_of(tmp_path, sent, report(ended_s=2.0, handed=handed, unsent=unsent, stopped_by="requests", why="So.")).late_share
        for handed, unsent in ((4, 0), (20, 0), (20, 16))
    ]
    assert shares == [0.5, 0.5, 0.5]


def test_a_folder_that_takes_no_more(tmp_path: Path) -> None:
    """What could not be written is counted beside; it is no guard's doing, so the run says it, which exits 1."""
    said = report(ended_s=2.0, handed=20, requests=5, stopped_by="folder", why="Observations cannot be written: No space left on device.")
    came = outcome_of(tmp_path, [record(0.0, sent=0.0, received=0.1)], said)
    assert (came.requests, came.lost) == (1, ["4 more requests were sent that could not be written down."])
    run = Run.create(tmp_path, ["load"], [])
    assert (_stop(came, run), run.unkept) == (None, came.why)
    assert text("sim", came, "x").splitlines()[3:5] == [f"  {came.lost[0]}", f"  stopped: {came.why}"]


def test_a_load_that_a_guard_stopped_at_once(tmp_path: Path) -> None:
    """What was handed out ahead, and a first request that takes no time, are no rate above what was asked."""
    said = report(ended_s=0.012, handed=2, stopped_by="maintenance", why="So.")
    came = outcome_of(tmp_path, [record(0.0, sent=0.001, received=0.01)], said)
    assert (came.asked_per_s, came.offered_per_s, came.achieved_per_s, came.seconds) == (10.0, 10.0, 5.0, 0.012)


def test_users_that_a_guard_stopped_at_once(tmp_path: Path) -> None:
    """Twenty users that start at one instant and are refused at once sent twenty requests a second at most, not hundreds."""
    path = tmp_path / "observations.jsonl"
    path.write_text("".join(json.dumps(record(0.0, sent=0.001, received=0.05, outcome="throttled")) + "\n" for _ in range(20)))
    plan = LoadPlan(INSTANCE, (SELF,), duration_s=10.0, users=20)
    came = reckon(plan, report(ended_s=0.06, handed=20, stopped_by="refusals", why="So."), path, 0, killed=False)
    assert (came.asked_per_s, came.offered_per_s, came.achieved_per_s, came.seconds) == (None, 20.0, 20.0, 0.06)
    longer = reckon(plan, report(ended_s=4.0, handed=20, stopped_by="refusals", why="So."), path, 0, killed=False)
    assert (longer.offered_per_s, longer.achieved_per_s) == (5.0, 5.0)


def test_a_child_that_was_killed(tmp_path: Path) -> None:
    """The outcome is made from what it wrote; whether it was us that killed it is told."""
    said = report(kind="progress", ended_s=0.0, now_s=3.0)
    assert outcome_of(tmp_path, [], said).stopped_by == "killed"
    late = outcome_of(tmp_path, [], said, killed=True)
    assert (late.stopped_by, late.why) == ("seconds", "The load outlived its time and was ended.")


def test_text_and_progress() -> None:
    """The whole text of a load, and the line that is redrawn."""
    assert text("sim", OUTCOME, "results/x").splitlines() == [
        "sim: asked 10/s, offered 10/s, achieved 9.5/s, 10.0 s",
        "  100 requests, 0 refused, 0 failed, 0.0 % late",
        "  latency from due: p50 0.100 s, p90 0.200 s, p95 0.250 s",
        "  least remaining budget 550",
        "Report: results/x/report.html",
        "Next: probes history results",
    ]
    few = replace(
        OUTCOME, asked_per_s=None, requests=5, latency_s=dict.fromkeys(OUTCOME.latency_s), least_remaining=None, lost=["Worker a was lost."]
    )
    assert text("sim", few, "x").splitlines()[:4] == [
        "sim: asked as fast as answers come, offered 10/s, achieved 9.5/s, 10.0 s",
        "  5 requests, 0 refused, 0 failed, 0.0 % late",
        "  latency from due: 5 requests are too few for a percentile",
        "  Worker a was lost.",
    ]
    failed = replace(few, errors=4, outcomes={"ok": 1, "server_error": 1, "not_found": 3, "cancelled": 1})
    assert text("sim", failed, "x").splitlines()[1] == "  5 requests, 0 refused, 4 failed (3 not_found, 1 server_error), 0.0 % late"
    assert text("sim", replace(few, requests=1), "x").splitlines()[1].startswith("  1 request, 0 refused, ")
    assert "  latency from due: half of the calls and more brought no answer" in text("sim", replace(few, requests=90), "x").splitlines()
    progress = LoadProgress(2.5, 25, 24, 1, 3, 10.04, None, 580.0, 0.1234)
    assert line(progress) == ("  2.5 s  offered 10/s  achieved -/s  in flight 3  requests 24  refused 1  remaining 580  p95 0.123 s")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "Say how hard"),
        ({"rate_per_s": 1.0, "users": 1}, "Say how hard"),
        ({"rate_per_s": float("nan")}, "--rate nan: write requests a second, above 0"),
        ({"rate_per_s": 1.0, "duration": "soon"}, "is not a duration"),
        ({"rate_per_s": 1.0, "calls": ()}, "Say what to send"),
        ({"rate_per_s": 1.0, "calls": ("FETCH /x",)}, "is not a method"),
        ({"rate_per_s": 1.0, "start_per_s": 5.0}, "--from is the first rate of a ramp: add --arrivals ramp"),
        ({"rate_per_s": 1.0, "arrivals": "sine"}, "use even, poisson or ramp"),
        ({"rate_per_s": 1.0, "calls_file": Path("no-such-file")}, "no-such-file cannot be read: No such file or directory"),
    ],
)
def test_words_that_make_no_plan(changes: dict[str, object], says: str) -> None:
    """Each mistake in the words is one sentence."""
    values: dict[str, object] = {"names": ["sim"], "calls": ("GET /x",), **changes}
    with pytest.raises(UsageError, match=says):
        plan_of(INSTANCE, Asked(**values))  # type: ignore[arg-type] # that is the point


def test_the_command_is_kept() -> None:
    """A run keeps what was asked as the command that asks it again: how hard, how long, what, and guards that are not the usual ones."""
    asked = Asked(["sim"], 20.0, "2m", ("GET /x", "GET /y z"), Path("calls.txt"), max_refusals=3, arrivals="ramp", start_per_s=5.0)
    assert shlex.join(words_of(asked)) == (
        "load -i sim --rate 20 --for 2m --arrivals ramp --from 5 --calls-file calls.txt --max-refusals 3 --call 'GET /x' --call 'GET /y z'"
    )
    assert words_of(Asked(["sim"], users=4, calls=("GET /x",)))[1:] == ["-i", "sim", "--users", "4", "--for", "60s", "--call", "GET /x"]
    kept = {"names", "calls"} | set(OPTIONS)
    assert kept == {field.name for field in fields(Asked)}, "every word has its option"


def test_words_that_make_a_plan(tmp_path: Path) -> None:
    """Calls of the file follow those of the command; a ramp goes from --from to --rate; users make a closed loop."""
    calls = tmp_path / "calls.txt"
    calls.write_text("3 GET /a\n# no call\nGET /b\n")
    plan = plan_of(INSTANCE, Asked(["sim"], 20.0, "2m", ("GET /x",), calls, arrivals="ramp", start_per_s=5.0))
    assert [(call.name, call.weight) for call in plan.calls] == [("GET /x", 1.0), ("GET /a", 3.0), ("GET /b", 1.0)]
    assert (plan.schedule, plan.duration_s, plan.asked_per_s) == ({"kind": "ramp", "start_per_s": 5.0, "end_per_s": 20.0}, 120.0, 12.5)
    closed = plan_of(INSTANCE, Asked(["sim"], users=4, calls=("GET /x",)))
    assert (closed.open_loop, closed.in_flight, closed.asked_per_s) == (False, 4, None)
