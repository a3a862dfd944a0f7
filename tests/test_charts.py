from __future__ import annotations

import random
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from report_data import full_run, instance, latency, load, observed, pages, pair

from probes import charts
from probes.charts import latencies, limits, lists, loads, style
from probes.charts.style import Picture
from probes.errors import RunFolderError
from probes.observation import Outcome
from probes.report.material import Material, material
from probes.runs import Run

NAMES = ["safe-rate", "tank", "latency", "shift", "phases", "drift", "page-sizes", "page-size-cost", "load", "punctuality"]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return material(full_run(tmp_path_factory.mktemp("charts")))


@pytest.fixture(scope="module")
def drawn(told: Material) -> dict[str, Picture]:
    return charts.pictures(told)


@pytest.fixture(scope="module")
def svgs(drawn: dict[str, Picture]) -> dict[str, str]:
    return {name: picture.svg() for name, picture in drawn.items()}


def alone(draw: Callable[[Material], Picture | None], run: Run) -> Picture:
    """One picture of a run, which is not laid out: where the fact is its own the others need not be drawn."""
    with style.styled():
        picture = draw(material(run))
    assert picture is not None
    return picture


def made(place: Path, *names: str, **facts: Any) -> Run:
    run = Run.create(place, ["run"], [instance(name) for name in names])
    run.note(rates=[], **facts)
    return run


def data_of(line: Any, axis: str) -> list[float]:
    """The numbers of a line along one axis."""
    return [float(value) for value in (line.get_xdata() if axis == "x" else line.get_ydata())]


def words(picture: Picture) -> str:
    """All text in a picture."""
    return text_of(picture.svg())


def text_of(svg: str) -> str:
    """All text in an SVG."""
    tree = ET.fromstring(svg.replace("xlink:href", "href"))
    return "\n".join("".join(element.itertext()) for element in tree.iter() if element.tag.endswith("text"))


@pytest.mark.untraced
def test_every_picture_of_a_whole_run(drawn: dict[str, Picture]) -> None:
    """A run through every scenario carries every picture, in the order of the report."""
    assert list(drawn) == NAMES


@pytest.mark.untraced
@pytest.mark.parametrize("name", NAMES)
def test_each_says_n_failures_time_and_version(drawn: dict[str, Picture], svgs: dict[str, str], told: Material, name: str) -> None:
    """The foot of every picture: n, when, by which version; its text for who cannot see it is there."""
    text = text_of(svgs[name])
    assert re.search(r"n = [\d,]+ ", text)
    assert str(told.document["started_at"])[:10] in text
    assert told.document["tool"] in text
    assert f'aria-label="{drawn[name].title}' in svgs[name]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("latency", ["n = 237 answers, 7 failed, 0 refused", "beta, median 0.42 s (n = 79)", "slow from 2 s"]),
        ("tank", ["n = 624 answers, 0 failed, 62 refused", "n = 208, 21 refused", "units remaining"]),
        (
            "safe-rate",
            ["17/s, 10 in flight, bound by reservations, n = 220", "calls/s of a job of 1,000 calls with odds of 5 % of any refusal"],
        ),
        ("shift", ["test less sandbox", "n = 188 pairs, interleaved"]),
        ("phases", ["beta, cold (n = 9)", "beta, warm (n = 79)", "TLS"]),
        ("page-sizes", ["/api/v1/courses/1/enrollments", "50", "n = 90 pages"]),
        ("page-size-cost", ["the list does not tell its total", "time per item"]),
        ("load", ["n = 7,740 requests, 0 failed, 36 refused", "refused from 26/s", "achieved, requests/s"]),
        ("punctuality", ["beta: 0 of 248 later than 10 ms"]),
    ],
)
def test_what_pictures_say(svgs: dict[str, str], name: str, said: list[str]) -> None:
    """Numbers on the pictures are those of the run."""
    text = text_of(svgs[name])
    assert [one for one in said if one not in text] == []


@pytest.mark.parametrize(("facts", "says"), [({}, ("slow from 2 s", "")), ({"objective_s": 10.0}, ("objective 10 s", "objective 10 s"))])
def test_the_objective_is_the_loads_own(tmp_path: Path, facts: dict[str, float], says: tuple[str, str]) -> None:
    """Of a load the objective that its guard held is drawn, and none where it had none: elsewhere the line is where slow begins."""
    run = made(tmp_path, "beta", loads=[load("beta", 5.0, 0.4)], **facts)
    run.append_lines(o.line() for o in latency("beta", random.Random(1)))
    told = ["\n".join(re.findall(r"(?:objective|slow from) .*", words(alone(draw, run)))) for draw in (latencies.ecdf, loads.offered)]
    assert told == list(says)


def test_an_empty_run_has_no_picture(tmp_path: Path) -> None:
    """Nothing is drawn of nothing."""
    assert charts.pictures(material(made(tmp_path, "beta"))) == {}


@pytest.mark.untraced
def test_svg_is_small_and_stands_in_a_page(svgs: dict[str, str]) -> None:
    """Each is well-formed, below 200 kB, without a size of its own, and no id is another's."""
    ids: list[str] = []
    for svg in svgs.values():
        ET.fromstring(svg)
        assert len(svg) < 200_000
        assert not re.search(r"<svg [^>]*\b(width|height)=", svg)
        ids += re.findall(r' id="([^"]+)"', svg)
    assert len(ids) == len(set(ids)) > 0


@pytest.mark.untraced
def test_the_same_run_gives_the_same_svg(told: Material, svgs: dict[str, str]) -> None:
    """Drawn twice, a picture is the same text, so that a report made again can be compared."""
    with style.styled():
        again = latencies.ecdf(told)
        assert again is not None
        style.settle(again.figure)
    assert again.svg() == svgs["latency"]


def test_png(drawn: dict[str, Picture], tmp_path: Path) -> None:
    """A PNG of 160 dots an inch, with how to read it in its description; a folder that cannot be made is one sentence."""
    path = drawn["latency"].write_png(tmp_path / "charts")
    data = path.read_bytes()
    assert (int.from_bytes(data[16:20], "big"), data[:8]) == (1184, b"\x89PNG\r\n\x1a\n")
    assert b"Each line climbs" in data
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(RunFolderError, match=r"file/latency\.png cannot be written: "):
        drawn["latency"].write_png(tmp_path / "file")


@pytest.mark.untraced
def test_many_observations_stay_small(tmp_path: Path) -> None:
    """2,500 calls: lines are thinned, the scatter is a picture inside the SVG, the level keeps its lowest point."""
    run = made(tmp_path, "beta")
    source = random.Random(3)
    lowest = 1_685
    run.append_lines(
        observed(
            "beta",
            "latency",
            n * 0.01,
            flight_s=source.lognormvariate(-1, 0.3),
            late_s=0.0,
            remaining=7.0 if n == lowest else 600.0,
            cost=0.1,
        ).line()
        for n in range(2_500)
    )
    drawn = charts.pictures(material(run))
    assert sorted(drawn) == ["drift", "latency", "phases", "tank"]
    assert "data:image/png;base64" in drawn["drift"].svg()
    assert max(len(picture.svg()) for picture in drawn.values()) < 150_000
    levels = data_of(drawn["tank"].figure.axes[0].lines[0], "y")
    assert min(levels) == 7.0
    assert len(levels) <= style.MOST_POINTS


def test_failures_are_a_series_of_their_own(tmp_path: Path) -> None:
    """Calls that failed stand as crosses along the bottom, and are not in the line."""
    run = made(tmp_path, "beta")
    bad = [observed("beta", "latency", 50.0 + n, flight_s=0.01, status=500, outcome=Outcome.SERVER_ERROR) for n in range(5)]
    run.append_lines(o.line() for o in [*(observed("beta", "latency", float(n)) for n in range(10)), *bad])
    axis = alone(latencies.ecdf, run).figure.axes[0]
    crosses = next(line for line in axis.lines if line.get_marker() == "x")
    assert len(data_of(crosses, "x")) == 5
    assert len(data_of(axis.lines[0], "x")) == 10


def test_colour_follows_the_instance(drawn: dict[str, Picture]) -> None:
    """An instance has one colour in all pictures, whichever rows a picture shows."""
    of_latency = [line.get_color() for line in drawn["latency"].figure.axes[0].lines if line.get_linestyle() != "None"][:3]
    assert of_latency == list(style.SERIES[:3])
    assert [axis.lines[0].get_color() for axis in drawn["tank"].figure.axes[:3]] == of_latency


@pytest.mark.untraced
def test_shift_without_a_comparison(tmp_path: Path) -> None:
    """Where nothing was compared in blocks each instance stands against the fastest, with a band, and it is said: not interleaved."""
    source = random.Random(1)
    run = made(tmp_path, "test", "sandbox")
    run.append_lines(o.line() for name in ("test", "sandbox") for o in latency(name, source))
    picture = alone(latencies.shift, run)
    assert "n = 79 and 79, not interleaved" in words(picture)
    values = data_of(picture.figure.axes[0].lines[1], "y")
    assert all(0.05 < value < 0.5 for value in values)


@pytest.mark.untraced
def test_more_instances_than_colours(tmp_path: Path) -> None:
    """Nine instances: as many as there are colours are drawn, in rows of three, and nothing breaks."""
    names = [f"school-with-a-long-name-{number}" for number in range(9)]
    source = random.Random(2)
    run = made(tmp_path, *names, comparisons=[pair(names[0], name, 1.5) for name in names[1:]])
    for name in names:
        run.append_lines(o.line() for o in [*latency(name, source, 20), *pages(name, source)])
    drawn = charts.pictures(material(run))
    assert len([axis for axis in drawn["drift"].figure.axes if axis.get_visible()]) == 6
    assert len([axis for axis in drawn["shift"].figure.axes if axis.get_visible()]) == 3


def test_a_load_on_the_only_instance(tmp_path: Path) -> None:
    """A load document that names no instance belongs to the only one of the run, also where no percentile shows."""
    one = {**load("beta", 4.0, 0.3), "latency_s": {"p50": None, "p95": None, "p99": None}, "instance": None}
    run = made(tmp_path, "beta", loads=[one])
    picture = alone(loads.offered, run)
    assert "beta (1 load)" in words(picture)


@pytest.mark.parametrize("named", [["p50", "p95"], []])
def test_the_legend_of_loads(tmp_path: Path, named: list[str]) -> None:
    """It names the percentiles that some load could carry, and no other."""
    one = {**load("beta", 4.0, 0.3), "latency_s": {name: 0.3 if name in named else None for name in ("p50", "p95", "p99")}}
    picture = alone(loads.offered, made(tmp_path, "beta", loads=[one]))
    assert [text.get_text() for legend in picture.figure.legends for text in legend.get_texts()] == named


def test_a_load_by_workers_is_no_fixed_rate(tmp_path: Path) -> None:
    """Workers stand as open marks off the line of the fixed rates, by their number, and it is said that their rate is none to send at."""
    workers = {**load("beta", 40.0, 0.3), "asked_per_s": None, "in_flight": 11, "refused": 2}
    run = made(tmp_path, "beta", loads=[load("beta", 20.0, 0.3), load("beta", 30.0, 0.3), workers])
    picture = alone(loads.offered, run)
    above, below = picture.figure.axes[:2]
    medians = [line for line in above.lines if line.get_marker() == "o"]
    assert [(len(data_of(line, "x")), line.get_linestyle(), line.get_markerfacecolor()) for line in medians] == [
        (2, "-", style.SERIES[0]),
        (1, "None", style.PAPER),
    ]
    assert [text.get_text() for text in below.texts] == ["11 workers, 2 refused"]
    assert "refused from" not in words(picture)
    assert "Every full mark is one load at a fixed rate." in picture.says
    assert picture.says.endswith("The rate they reach is therefore not one to send at without them.")


@pytest.mark.parametrize(
    ("connect_s", "says"),
    [
        (0.0008, "Connect and TLS take less than 1 ms here: too little to show beside the rest of a call."),
        (0.003, "Connect and TLS take 3 ms here: too little to show beside the rest of a call."),
        (0.2, "Connect and TLS take 0.20 s here: keeping connections saves that of each call."),
    ],
)
def test_what_a_kept_connection_saves(connect_s: float, says: str) -> None:
    """The caption of the phases tells what connecting took, not how cold and warm calls differ by chance."""
    cold = {"instance": "beta", "connection": "cold", "connect_s": connect_s, "tls_s": None, "wait_s": 0.3}
    assert latencies._cost_of_connecting([cold, {**cold, "connection": "warm", "wait_s": 0.35}]) == says
    assert latencies._cost_of_connecting([]) == "No call here made one."


def test_sizes_that_were_seen_once_are_not_drawn(tmp_path: Path) -> None:
    """Two sizes of which one answer each came draw no line: its slope would be chance."""
    run = made(tmp_path, "beta")
    for size in (1, 10):
        facts = {"list": "/a", "items": size, "per_page": size, "per_page_asked": size, "style": "link"}
        run.append(observed("beta", "pagination", float(size), call="GET /a", facts=facts))
    with style.styled():
        assert lists.sizes(material(run)) is None


@pytest.mark.untraced
def test_five_lists_are_drawn_and_more_are_counted(tmp_path: Path) -> None:
    """What a page size costs is drawn of five lists; where there were seven the foot says 5 of 7."""
    run = made(tmp_path, "beta")
    for number in range(7):
        for size in (1, 1, 10, 10):
            facts = {"list": f"/{number}", "items": size, "per_page": size, "per_page_asked": size, "style": "link"}
            run.append(observed("beta", "pagination", float(number), call=f"GET /{number}", facts=facts))
    picture = alone(lists.sizes, run)
    assert len(picture.figure.axes) == 10
    assert "5 of 7 lists, n = 20 pages" in words(picture)


def test_letters_that_the_font_lacks(tmp_path: Path) -> None:
    """A name in Chinese letters draws without a warning, and the page's font shows it."""
    run = made(tmp_path, "\u6d4b\u8bd5")
    run.append_lines(observed("\u6d4b\u8bd5", "latency", float(n)).line() for n in range(8))
    picture = alone(latencies.ecdf, run)
    assert "\u6d4b\u8bd5" in words(picture)
    assert picture.write_png(tmp_path).stat().st_size > 10_000


def test_names_keep_their_ends() -> None:
    """Of a long name the middle goes: names of one school differ at their ends."""
    assert style.named("school-with-a-long-name-7", 16) == "school-…g-name-7"
    assert style.named("beta", 16) == "beta"


@pytest.mark.parametrize(("labels", "columns"), [(["a"] * 3, 3), (["a" * 40] * 4, 2), (["a" * 120], 1), ([], 1)])
def test_a_legend_fits(labels: list[str], columns: int) -> None:
    """All labels in one row where they fit, else as many columns as the longest allows."""
    assert style.columns_of(labels) == columns


@pytest.mark.parametrize(("value", "text"), [(0.0005, "0.5 ms"), (0.05, "50 ms"), (0.2, "0.2 s"), (30.0, "30 s"), (0.0, "0")])
def test_seconds_on_an_axis(value: float, text: str) -> None:
    """Times along an axis are short."""
    assert style.short_seconds(value) == text


def test_clipped_text() -> None:
    """One line, no control characters, an ellipsis where it was cut."""
    assert style.clipped("a\nb\x07c", 10) == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c"
    assert style.clipped("abcdefgh", 5) == "abcd…"


def test_thinned() -> None:
    """The first and the last stay, the count is kept to."""
    picked = style.thinned(range(10_000), 100)
    assert (len(picked), picked[0], picked[-1]) == (100, 0, 9_999)
    assert style.thinned(range(3), 100) == [0, 1, 2]


def test_a_confirmed_rate_that_was_contradicted(tmp_path: Path) -> None:
    """A diamond stands at the rate that a load tried, alarming where contradicted; without a bucket no bound is drawn."""
    number = {"value": 9.0, "low": 8.0, "high": 10.0, "n": 40}
    rate: dict[str, Any] = {
        "instance": "beta",
        "call": "GET /a",
        "regime": "refusals",
        "bucket": None,
        "cost": None,
        "server_time_s": None,
        "safe": {"rate_per_s": number, "in_flight": 8, "burst": 8, "bound_by": "refusals", "job_calls": 100, "odds": 0.05},
        "confirmed": {"rate_per_s": 8.0, "calls": 9, "refused": 3, "contradicted": True},
    }
    run = Run.create(tmp_path, ["rate"], [instance("beta")])
    run.note(rates=[rate, {**rate, "call": "GET /" + "b" * 60, "safe": {**rate["safe"], "job_calls": 200}}])
    axis = alone(limits.safe_rates, run).figure.axes[0]
    assert [line.get_color() for line in axis.lines if line.get_marker() == "D"] == [style.ALARM, style.ALARM]
    assert [line for line in axis.lines if line.get_marker() == "|"] == []
    assert axis.get_xlabel() == "calls/s"


def test_a_whole_axis_has_its_ticks_at_whole_places() -> None:
    """Along two to forty calls no tick stands at 2.5 under the name of 2."""
    figure, axes = style.canvas("Calls", "n = 12", 2.0, 1, 3)
    axis = axes[0][0]
    style.whole_axis(axis.xaxis)
    figure.draw_without_rendering()  # which gives the axis its width, and so its room for ticks
    for calls in range(2, 41):
        axis.set(xlim=(0.4, calls + 0.6))
        assert all(float(tick).is_integer() for tick in axis.get_xticks()), calls


def test_numbers_on_the_page_are_those_of_the_picture() -> None:
    """Coordinates are cut to two decimals on the page, what a reader reads is not."""
    svg = '<svg width="10" height="10"><path d="M 1.23456 2.34567"/><text x="1.98765">0.0105</text></svg>'
    shown = style.embedded(svg, "a", "A picture.")
    assert ">0.0105</text>" in shown
    assert 'd="M 1.23 2.34"' in shown
