from __future__ import annotations

import pytest
from asked import lost, made, place, seen
from prometheus_client import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics

from probes.exporter.text import Text
from probes.metrics import MOST_CALLS, REFUSALS, Metrics, refusal, template, template_of
from probes.observation import Outcome
from probes.simulator.profiles import profile

SELF = "GET /api/v1/users/self"


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"canvas_probe_{name}", labels)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/api/v1/users/self", "/api/v1/users/self"),
        ("/api/v1/courses/17/users?page=2&per_page=100", "/api/v1/courses/:id/users"),
        ("/api/v1/courses/12~34/users", "/api/v1/courses/:id/users"),
        ("/api/v1/courses/sis_course_id:BIO-1/users/5", "/api/v1/courses/:id/users/:id"),
        ("/files/0123456789abcdef0123456789abcdef", "/files/:id"),
        ("/x/123e4567-e89b-12d3-a456-426614174000", "/x/:id"),
    ],
)
def test_call_is_a_template(path: str, told: str) -> None:
    """Ids become :id and the query goes, so that a label is never a URL."""
    assert template("GET", path) == f"GET {told}"
    assert template_of(f"GET {path}") == f"GET {told}"


def test_a_name_that_is_no_path_stays() -> None:
    """A call that a report names in words keeps them."""
    assert template_of("the whole list") == "the whole list"


def test_known_series_are_there_at_zero() -> None:
    """Before the first round each outcome of each known call and each refusal stands at 0; no ok, no time and no cost is claimed."""
    metrics = Metrics()
    metrics.create(place("a"), "reach")
    for call in (SELF, "GET /health_check.json"):
        for outcome in Outcome:
            assert value(metrics, "requests_total", canvas_instance="a", scenario="reach", call=call, outcome=outcome) == 0.0
    for kind in REFUSALS:
        assert value(metrics, "refusals_total", canvas_instance="a", scenario="reach", kind=kind) == 0.0
    assert value(metrics, "rounds_total", canvas_instance="a", scenario="reach") == 0.0
    assert value(metrics, "success", canvas_instance="a", scenario="reach") is None
    measured = ("latency_seconds", "cost_units", "priced_requests", "phase_seconds")
    assert not [one for family in metrics.registry.collect() for one in family.samples if family.name.endswith(measured)]
    assert value(metrics, "instance_info", canvas_instance="a", kind="simulated", dialect="canvas") == 1.0


def test_an_observation_is_counted() -> None:
    """One answer moves its counter by one, its histogram by its latency, cost and phases by what they were."""
    metrics = Metrics()
    metrics.observe(made(flight_s=0.4, cost=0.25, wait_s=0.3, pool_s=0.1, server_time_s=0.2, reused=True))
    who = {"canvas_instance": "test", "scenario": "latency"}
    assert value(metrics, "requests_total", **who, call=SELF, outcome="ok") == 1.0
    assert value(metrics, "requests_total", **who, call=SELF, outcome="throttled") == 0.0
    assert value(metrics, "latency_seconds_sum", **who, call=SELF) == pytest.approx(0.4)
    assert value(metrics, "latency_seconds_bucket", **who, call=SELF, le="0.3") == 0.0
    assert value(metrics, "latency_seconds_bucket", **who, call=SELF, le="0.5") == 1.0
    assert value(metrics, "cost_units_total", **who, call=SELF) == 0.25
    assert value(metrics, "priced_requests_total", **who, call=SELF) == 1.0
    assert value(metrics, "phase_seconds_total", **who, phase="wait") == 0.3
    assert value(metrics, "phase_seconds_total", **who, phase="server") == 0.2
    assert value(metrics, "phase_seconds_total", **who, phase="server_db") is None
    assert value(metrics, "connections_total", canvas_instance="test", reused="true") == 1.0


def test_failures_make_no_latency() -> None:
    """A refusal is fast and no answer has no time: neither enters the histogram."""
    metrics = Metrics()
    metrics.observe(made(outcome=Outcome.THROTTLED, status=429))
    metrics.observe(lost(Outcome.READ_TIMEOUT))
    assert value(metrics, "latency_seconds_count", canvas_instance="test", scenario="latency", call=SELF) is None
    assert value(metrics, "refusals_total", canvas_instance="test", scenario="latency", kind="throttled_429") == 1.0


@pytest.mark.parametrize(
    ("status", "outcome", "kind"),
    [
        (429, Outcome.THROTTLED, "throttled_429"),
        (403, Outcome.THROTTLED, "throttled_403"),
        (503, Outcome.THROTTLED, "throttled_other"),
        (401, Outcome.UNAUTHORIZED, "unauthorized"),
        (503, Outcome.MAINTENANCE, "maintenance"),
        (500, Outcome.SERVER_ERROR, None),
        (200, Outcome.OK, None),
    ],
)
def test_kinds_of_refusal(status: int, outcome: Outcome, kind: str | None) -> None:
    """The throttle's refusals are told apart by status; a failure is no refusal."""
    assert refusal(made(status=status, outcome=outcome)) == kind


@pytest.mark.parametrize(
    ("outcomes", "good"),
    [
        ([Outcome.OK, Outcome.OK], True),
        ([Outcome.OK, Outcome.THROTTLED], True),
        ([Outcome.OK, Outcome.SERVER_ERROR], False),
        ([Outcome.CANCELLED], False),
        ([], False),
    ],
)
def test_what_makes_a_round_good(outcomes: list[Outcome], good: bool) -> None:
    """Throttling is no failure; an error is one, and so is a round in which nothing was asked."""
    metrics = Metrics()
    assert metrics.conclude("a", "reach", [made(outcome=outcome) for outcome in outcomes], 1.5, 100.0) is good
    assert value(metrics, "success", canvas_instance="a", scenario="reach") == float(good)
    assert value(metrics, "round_failures_total", canvas_instance="a", scenario="reach") == float(not good)
    assert value(metrics, "duration_seconds", canvas_instance="a", scenario="reach") == 1.5
    assert value(metrics, "last_round_timestamp_seconds", canvas_instance="a", scenario="reach") == 100.0


def test_levels_of_a_round() -> None:
    """Remaining is the least of the round; a round that tells nothing leaves it as it was; days become seconds."""
    metrics = Metrics()
    seen = [made(remaining=590.0), made(remaining=540.5, limit=600.0), made(remaining=600.0, facts={"certificate_days": 2.0})]
    metrics.conclude("a", "reach", seen, 1.0, 0.0)
    metrics.conclude("a", "reach", [made()], 1.0, 0.0)
    assert value(metrics, "quota_remaining_units", canvas_instance="a") == 540.5
    assert value(metrics, "quota_limit_units", canvas_instance="a") == 600.0
    assert value(metrics, "certificate_remaining_seconds", canvas_instance="a") == 172800.0


def test_the_queue_as_numbers() -> None:
    """Imports by state, how long the oldest has waited, how long past ones waited and ran: from what scenario `queue` sees."""
    metrics = Metrics()
    lines = seen("queue", profile("beta"))
    metrics.conclude("test", "queue", lines, 1.0, 0.0)
    facts = lines[0].facts
    assert facts["waiting"] >= 1
    assert value(metrics, "queue_imports", canvas_instance="test", state="waiting") == facts["waiting"]
    assert value(metrics, "queue_imports", canvas_instance="test", state="running") == facts["running"]
    ages = [age_s for _, state, age_s, _ in facts["queue"] if state == "created"]
    assert value(metrics, "queue_oldest_wait_seconds", canvas_instance="test") == max(ages)
    waits = sorted(facts["waits_s"])
    assert value(metrics, "queue_wait_seconds", canvas_instance="test", statistic="max") == waits[-1]
    middle = (waits[(len(waits) - 1) // 2] + waits[len(waits) // 2]) / 2
    assert value(metrics, "queue_wait_seconds", canvas_instance="test", statistic="median") == middle
    assert value(metrics, "queue_run_seconds", canvas_instance="test", statistic="max") == max(facts["runs_s"])


def test_an_empty_queue() -> None:
    """Nothing waits: zero, and no wait of the past is made up."""
    metrics = Metrics()
    facts = {"imports": 0, "waits_s": [], "runs_s": [], "waiting": 0, "running": 0, "queue": []}
    metrics.conclude("test", "queue", [made(facts=facts)], 1.0, 0.0)
    assert value(metrics, "queue_oldest_wait_seconds", canvas_instance="test") == 0.0
    assert value(metrics, "queue_imports", canvas_instance="test", state="waiting") == 0.0
    assert value(metrics, "queue_wait_seconds", canvas_instance="test", statistic="max") is None


def test_page_sizes_of_a_round() -> None:
    """Default and greatest page size of each list that a round of scenario `pagination` asked."""
    metrics = Metrics()
    metrics.conclude("test", "pagination", seen("pagination", profile("production")), 1.0, 0.0)
    courses = {"canvas_instance": "test", "call": "GET /api/v1/courses"}
    assert value(metrics, "round_page_size_items", **courses, bound="default") == 10.0
    assert value(metrics, "round_page_size_items", **courses, bound="max") == 100.0
    enrollments = {"canvas_instance": "test", "call": "GET /api/v1/courses/:id/enrollments"}
    assert value(metrics, "round_page_size_items", **enrollments, bound="max") == 100.0


def test_the_wait_that_a_refusal_asks_for() -> None:
    """Retry-After as a number, the newest."""
    metrics = Metrics()
    refused = [made(outcome=Outcome.THROTTLED, status=429, retry_after_s=wait_s) for wait_s in (9.0, 3.5)]
    metrics.conclude("test", "latency", refused, 1.0, 0.0)
    assert value(metrics, "retry_after_seconds", canvas_instance="test") == 3.5


def test_calls_are_bounded() -> None:
    """Beyond MOST_CALLS names calls are counted together."""
    metrics = Metrics()
    for number in range(MOST_CALLS + 5):
        metrics.observe(made(call=f"GET /x/name{chr(97 + number // 26)}{chr(97 + number % 26)}"))
    assert value(metrics, "requests_total", canvas_instance="test", scenario="latency", call="other", outcome="ok") == 5.0


def test_forgotten_instances_leave_nothing() -> None:
    """An instance that is no longer configured has no series, the others keep theirs."""
    metrics = Metrics()
    for name in ("a", "b"):
        metrics.create(place(name), "reach")
        metrics.observe(made(instance=name, scenario="reach", call="GET /own", cost=1.0))
        metrics.conclude(name, "reach", [made(remaining=3.0)], 1.0, 0.0)
    metrics.forget("a")
    text = generate_latest(metrics.registry).decode()
    assert 'canvas_instance="a"' not in text
    assert value(metrics, "rounds_total", canvas_instance="b", scenario="reach") == 1.0


def test_emptied_is_as_new() -> None:
    """What `/probe` empties between rounds tells the same as what was made anew: no number, no series of the round before is left."""
    rounds = [
        [made(scenario="reach", cost=0.5, remaining=590.0, facts={"certificate_days": 2.0})],
        [made(scenario="reach", call="GET /other", outcome=Outcome.THROTTLED, status=429, retry_after_s=3.0)],
        [lost(Outcome.READ_TIMEOUT)],
        [made(scenario="reach", remaining=12.0)],
    ]
    kept = Metrics()
    kept.create(place("test"), "reach")
    kept.keep()
    text = Text(kept.instruments)
    for observations in rounds:
        anew = Metrics()
        anew.create(place("test"), "reach")
        kept.empty()
        for metrics in (anew, kept):
            for observation in observations:
                metrics.observe(observation)
            metrics.conclude("test", "reach", observations, 1.0, 5.0)
        assert sorted(text.render().splitlines()) == sorted(generate_latest(anew.registry).splitlines())


def test_our_text_is_the_librarys() -> None:
    """The fast rendering is prometheus_client's, line by line, odd label values and great numbers included."""
    metrics = Metrics()
    metrics.create(place('a"\\\n'), "reach")
    metrics.observe(made(cost=12345678.0, remaining=1e15))
    metrics.conclude("test", "latency", [made(remaining=1e15)], 0.1, 1.7e9)
    text = Text(metrics.instruments)
    assert text.render() == generate_latest(metrics.registry)
    assert text.render(openmetrics=True) + b"# EOF\n" == openmetrics(metrics.registry)  # type: ignore[no-untyped-call]
    metrics.observe(made(cost=0.5))
    metrics.forget('a"\\\n')
    assert text.render() == generate_latest(metrics.registry)
    assert text.render(openmetrics=True) + b"# EOF\n" == openmetrics(metrics.registry)  # type: ignore[no-untyped-call]
