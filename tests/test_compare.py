"""Comparing instances: pure, in virtual time, and the command."""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from asked import SELF, lost, made, place
from bench.compare import simulated
from bench.paired import observed, whole
from commanded import command, configured
from test_diagnose import Server
from test_run import Refusing

from probes import compare, findings
from probes.client import Client
from probes.clock import run_virtually
from probes.errors import GuardStop, UsageError
from probes.findings import Severity
from probes.jobs import compare as job
from probes.jobs.session import Settings
from probes.observation import Observation, Outcome
from probes.runs import Run

SCHEMA = json.loads((Path(compare.__file__).parent / "schemas" / "compare-1.json").read_text(encoding="utf-8"))


def side(name: str, times: Sequence[float], *, cold: bool = False, start: int = 0, **more: Any) -> list[Observation]:
    facts = {"cold": cold}
    return [
        made(instance=name, scenario="compare", flight_s=time, facts={**facts, "block": start + n}, at_s=float(n), **more)
        for n, time in enumerate(times)
    ]


def lognormal(median: float, spread: float, n: int, seed: int) -> list[float]:
    source = random.Random(seed)
    return [median * math.exp(source.gauss(0.0, spread)) for _ in range(n)]


def test_a_clear_difference() -> None:
    """Twice as long is told as such, with its interval, its n and the shift of the quantiles that n carries."""
    a, b = side("test", lognormal(0.4, 0.2, 100, 1)), side("sandbox", lognormal(0.2, 0.2, 100, 2))
    (found,) = compare.comparisons(a + b)
    assert found.differs
    assert found.ratio is not None
    assert found.ratio.low < 2.0 < found.ratio.high
    assert found.ratio.n == 100
    assert [shift.q for shift in found.shifts] == [0.5, 0.75, 0.9]
    assert all(shift.seconds.low <= shift.seconds.value <= shift.seconds.high for shift in found.shifts)
    assert found.says.startswith(f"test takes {found.ratio.value:.2f} times as long as sandbox for '{SELF}' (ratio test/sandbox ")


def test_the_slower_one_is_named_first() -> None:
    """Whichever stands first on the command line, the slower is the subject of the sentence."""
    a, b = side("sandbox", lognormal(0.2, 0.1, 60, 1)), side("test", lognormal(0.4, 0.1, 60, 2))
    (found,) = compare.comparisons(a + b)
    assert found.says.startswith("test takes ")
    assert found.ratio is not None
    assert found.ratio.high < 1.0


def test_no_difference_is_an_answer() -> None:
    """Two alike: no difference that n can show, and how large one would have shown."""
    (found,) = compare.comparisons(side("a", lognormal(0.2, 0.3, 190, 5)) + side("b", lognormal(0.2, 0.3, 190, 6)))
    assert not found.differs
    assert found.says.startswith("No difference between a and b for 'GET /api/v1/users/self' that n can show: ratio of medians ")
    assert found.says.endswith("% or more would have shown.")


def test_a_difference_too_small_to_measure() -> None:
    """Medians 0.3 ms apart are below what the tool measures, whatever the statistics say."""
    (found,) = compare.comparisons(side("a", [0.0013] * 50) + side("b", [0.001] * 50))
    assert not found.differs


def test_shapes_that_differ() -> None:
    """Equal medians with another tail: the interval of the ratio holds the sample's own ratio, and the 90th percentile tells the tail."""
    b = [0.2 + 0.0001 * n for n in range(100)]
    a = [0.2 + 0.0001 * n if n < 55 else 0.6 for n in range(100)]
    random.Random(1).shuffle(a)
    (found,) = compare.comparisons(side("a", a) + side("b", b))
    assert found.ratio is not None
    assert found.ratio.low <= found.ratio.value <= found.ratio.high
    assert found.shifts[-1].seconds.low > 0.3


def test_a_heavy_tail_is_told() -> None:
    """Where a quarter of one side's calls is eight times slower the medians hide it: the sentence and a warning tell it."""
    tail = [0.5 if n % 4 == 0 else time for n, time in enumerate(lognormal(0.06, 0.2, 100, 1))]
    (found,) = compare.comparisons([*side("a", tail), *side("b", lognormal(0.06, 0.2, 100, 2))])
    assert found.tails_s is not None
    assert found.tails_s[0] == 0.5
    assert re.search(
        r" But one call in ten takes 0\.50 s or longer at a, \d+ ms at b: 0\.4\d s to 0\.4\d s more, n = 100 pairs\.$", found.says
    )
    (finding,) = [one for one in findings.judge([], comparisons=[found.document()]) if one.kind == "differs"]
    assert (finding.severity, finding.instance) == (Severity.WARNING, "a")
    assert (
        finding.advice == f"Set timeouts by the tail, not by the median; see what slows those calls: probes diagnose -i a --call '{SELF}'"
    )


@pytest.mark.untraced
@pytest.mark.parametrize("ratio", [1.0, 2.0])
def test_a_tail_that_the_medians_tell(ratio: float) -> None:
    """Alike, or slower by the same factor everywhere: the tail is no news."""
    for seed in range(5):
        both = [*side("a", lognormal(0.06 * ratio, 0.6, 100, seed)), *side("b", lognormal(0.06, 0.6, 100, 100 + seed))]
        (found,) = compare.comparisons(both)
        assert found.tails_s is None


def test_failures_are_left_out_and_told() -> None:
    """A block in which either failed is no pair; the failures are flagged with their outcome."""
    a = side("a", [0.2] * 20)
    b = side("b", [0.2] * 18) + [lost(Outcome.READ_TIMEOUT, instance="b", scenario="compare", facts={"block": n}) for n in (18, 19)]
    (found,) = compare.comparisons(a + b)
    assert found.ratio is not None
    assert found.ratio.n == 18
    assert found.failed == (0, 2)
    assert found.flags == (f"2 of 20 calls to b failed (read_timeout), left out here; ask why: probes diagnose -i b --call '{SELF}'",)


def test_the_order_of_the_pairs() -> None:
    """Pairs stand as the command line names the instances; one that was never asked makes none; else the first asked leads."""
    everything = [one for name in "abc" for one in side(name, [0.2] * 8)]
    told = [(one.a, one.b) for one in compare.comparisons(everything, ["c", "never", "a", "b"])]
    assert told == [("c", "a"), ("c", "b"), ("a", "b")]
    assert [(one.a, one.b) for one in compare.comparisons(everything)] == [("a", "b"), ("a", "c"), ("b", "c")]


def test_other_scenarios_are_left_out() -> None:
    """Of a run that did more than compare, the calls of other scenarios take no part, though they are of the same name."""
    mine = side("a", [0.4] * 20) + side("b", [0.2] * 20)
    others = [made(instance=name, scenario="export", flight_s=5.0, outcome=Outcome.SERVER_ERROR, facts={"block": 1}) for name in "ab"]
    assert compare.comparisons([*others, *mine]) == compare.comparisons(mine)


def test_failures_of_either_side_are_counted() -> None:
    """Each side's calls that were not answered as asked are counted; what we cancelled ourselves is no failure that is flagged."""
    a = [*side("a", [0.2] * 20), lost(Outcome.CONNECT_ERROR, instance="a", scenario="compare", facts={"block": 20})]
    b = [*side("b", [0.2] * 20), lost(Outcome.CANCELLED, instance="b", scenario="compare", facts={"block": 20})]
    (found,) = compare.comparisons(a + b)
    assert found.failed == (1, 1)
    assert found.flags == (
        "1 of 21 calls to a failed (connect_error), left out here; ask why: probes diagnose -i a --call 'GET /api/v1/users/self'",
    )


def test_too_few_pairs() -> None:
    """Below eight pairs nothing is claimed."""
    (found,) = compare.comparisons(side("a", [0.2] * 7) + side("b", [0.4] * 7))
    assert (found.ratio, found.differs) == (None, False)
    assert found.says == f"a and b cannot be compared: fewer than 8 pairs of '{SELF}' were answered by both."


def test_revision_and_data_are_flagged() -> None:
    """Other revisions and answers of other sizes limit the comparison, and both are said."""
    health = [
        made(instance=n, scenario="compare", call="GET /health_check.json", facts={"revision": r}) for n, r in (("a", "1"), ("b", "2"))
    ]
    (found,) = compare.comparisons(health + side("a", [0.2] * 20, size_bytes=1000) + side("b", [0.2] * 20, size_bytes=200))
    assert found.flags == (
        "They run different revisions: a 1, b 2.",
        "They do not hold the same data: the answer has 1,000 bytes at a, 200 at b.",
    )


def test_cold_connections_apart() -> None:
    """Handshakes count in the cold ratio and nowhere else."""
    told: dict[str, Any] = {"cold": True, "start": 100, "reused": False, "connect_s": 0.1}
    a = side("a", [0.2] * 20) + side("a", [0.2] * 8, **told, tls_s=0.3)
    b = side("b", [0.2] * 20) + side("b", [0.2] * 8, **told, tls_s=0.1)
    (found,) = compare.comparisons(a + b)
    assert found.ratio is not None
    assert (found.ratio.value, found.ratio.n) == (1.0, 28)
    assert found.cold_ratio is not None
    assert found.cold_ratio.value == pytest.approx(1.5)


def test_queue_share() -> None:
    """The part of the time in the instance's own queue is told for each side; null where it does not say."""
    (found,) = compare.comparisons(side("a", [0.2] * 20, queue_s=0.05) + side("b", [0.2] * 20))
    assert found.document()["queue_share"] == {"a": 0.25, "b": None}


def test_three_instances_make_three_pairs() -> None:
    """Every pair once, in the order of the command line, for each call."""
    found = compare.comparisons(side("a", [0.2] * 9) + side("b", [0.2] * 9) + side("c", [0.2] * 9))
    assert [(one.a, one.b) for one in found] == [("a", "b"), ("a", "c"), ("b", "c")]


@pytest.mark.untraced
def test_false_alarms_and_power() -> None:
    """Of 400 comparisons with itself at most 5 % cry wolf; 20 % is found nine times in ten at a spread of 0.5, drift or not."""
    for drift in (False, True):
        false, _ = simulated(400, 0.5, 1.0, drift=drift, seed=11)
        found, covered = simulated(200, 0.5, 1.2, drift=drift, seed=12)
        assert false <= 0.05
        assert found >= 0.88
        assert covered >= 0.93


@pytest.mark.untraced
@pytest.mark.slow
def test_whole_command_in_virtual_time() -> None:
    """The command's own code finds 20 % between two simulators, within 200 requests to each, strictly interleaved."""
    assert whole(1.2, 3).differs
    lines = observed(1.2, 3)
    assert {name: sum(o.instance == name for o in lines) for name in ("a", "b")} == {"a": 199, "b": 199}
    timed = [o for o in lines if "block" in o.facts]
    assert all({timed[n].instance, timed[n + 1].instance} == {"a", "b"} for n in range(0, len(timed), 2))
    firsts = [timed[n].instance for n in range(0, len(timed), 2)]
    assert 70 <= firsts.count("a") <= 130


def test_documents_keep_the_schema() -> None:
    """Comparisons, with and without a ratio, are what the published schema says."""
    full = compare.comparisons(side("a", lognormal(0.2, 0.2, 40, 1)) + side("b", lognormal(0.3, 0.2, 40, 2)))
    bare = compare.comparisons(side("a", [0.2] * 3) + side("b", [0.2] * 3))
    document = {"schema": "probes.compare/1", "run": "results/x", "pairs": [one.document() for one in full + bare]}
    jsonschema.validate(json.loads(json.dumps(document)), SCHEMA)


def measured(
    tmp_path: Path, scripts: dict[str, Any], repeat: int = 10, **more: Any
) -> tuple[list[Observation], GuardStop | None, list[str]]:
    instances = [place(name, url=f"http://127.0.0.1:{8000 + n}", **more) for n, name in enumerate(scripts)]
    run = Run.create(tmp_path, ["compare"], instances)
    said: list[str] = []

    def make(one: Any, folder: Run) -> Client:
        return Client(one, record=folder.append, transport=httpx.MockTransport(scripts[one.name]), origin_s=0.0)

    stop = run_virtually(job.measure(run, instances, [], job.plan(repeat), said.append, make))
    return list(run.observations()), stop, said


def fine(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={"id": 1}, request=request)


def test_one_that_does_not_answer_ends_it(tmp_path: Path) -> None:
    """Three requests in vain to one instance end the comparison, and it says which."""

    def dead(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    lines, stop, said = measured(tmp_path, {"a": fine, "b": dead})
    assert stop is None
    assert len([o for o in lines if o.instance == "b" and "health" not in o.path]) == 3
    assert said == ["b ends the comparison: connect_error after 3 of 18 pairs."]


def test_ceiling_of_requests_is_a_guard(tmp_path: Path) -> None:
    """An instance's max_requests stops it; what was measured is kept."""
    lines, stop, _ = measured(tmp_path, {"a": fine, "b": fine}, max_requests=5)
    assert isinstance(stop, GuardStop)
    assert len(lines) >= 8


CONFIG = """
[instances.a]
url = "http://127.0.0.1:9"
[instances.b]
url = "http://127.0.0.1:9"
dialect = "github"
"""


@pytest.mark.parametrize(
    ("names", "call", "message"),
    [
        (["a"], "", "A comparison needs two instances: name each once with -i."),
        (["a", "a"], "", "A comparison needs two instances: name each once with -i."),
        (["a", "b"], "", "These instances speak different dialects: say with --call what to ask both."),
        (["a", "b"], "DELETE /x", "'DELETE /x' writes: a comparison repeats calls that read."),
    ],
)
def test_what_cannot_be_compared(tmp_path: Path, names: list[str], call: str, message: str) -> None:
    """One instance, the same twice, two dialects without a call, or a call that writes: one sentence, nothing sent."""
    from probes.calls import parse

    config = tmp_path / "probes.toml"
    config.write_text(CONFIG, encoding="utf-8")
    with pytest.raises(UsageError) as error:
        job.compare(Settings(config, tmp_path / "out", quiet=True), names, [parse(call)] if call else [], None)
    assert str(error.value) == message
    assert not (tmp_path / "out").exists()


def test_compare_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over sockets: the document keeps its schema and the order of the command line; text and exit codes as everywhere."""
    with Server(wait_s=0.09) as slow, Server(wait_s=0.005) as quick:
        configured(tmp_path, monkeypatch, quick={"url": quick.url, "token": "t"}, slow={"url": slow.url, "token": "t"})
        ended = command(tmp_path, "compare", "-i", "slow", "-i", "quick", "--repeat", "12", "--json")
        text = command(tmp_path, "compare", "-i", "quick", "-i", "slow", "--repeat", "12", "--quiet")
    assert ended.code == 0, ended.err
    jsonschema.validate(ended.document, SCHEMA)
    (pair,) = ended.document["pairs"]
    assert (pair["a"], pair["b"], pair["differs"]) == ("slow", "quick", True)
    assert pair["ratio_of_medians"]["value"] > 2.0
    assert ended.err.startswith("At most 21 requests to each of slow, quick: 20 pairs of each call and the health page.")
    assert text.out.startswith("slow takes ")


def test_compare_with_refused_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When every call is refused there is nothing to compare: exit 5, and the document says which instance ended it and how."""
    with Refusing() as one, Refusing() as other:
        configured(tmp_path, monkeypatch, a={"url": one.url, "token": "t"}, b={"url": other.url, "token": "t"})
        ended = command(tmp_path, "compare", "-i", "a", "-i", "b", "--quiet", "--json")
    assert ended.code == 5
    assert ended.document["stopped"] == "a ends the comparison: unauthorized after 3 of 198 pairs."
    assert "cannot be compared" in ended.document["pairs"][0]["says"]
