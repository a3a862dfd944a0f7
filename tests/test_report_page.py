from __future__ import annotations

import html.parser
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from report_data import full_run, instance, observed

from probes import report
from probes.observation import plain
from probes.runs import Run

EVIL = "<script>alert(1)</script>\"'`|*_[x](javascript:alert(1))\n</script ></script/x><!--<script \u2028 \x07 $x^2$ ${7*7} {{7*7}}"
TOOLS = Path.home() / ".cache" / "canvas-probes" / "bin"
CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
) or shutil.which("chromium", path=str(TOOLS))
FLAGS = (
    "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update --disable-sync "
    "--disable-default-apps --disable-extensions --hide-scrollbars --enable-logging=stderr"
).split()


class Elements(html.parser.HTMLParser):
    """What elements, ids and attributes a page has, and the text of its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes the element."""
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in {"href", "src", "xlink:href", "action", "srcset", "data"}:
                self.links.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)

    def handle_data(self, data: str) -> None:
        """Notes the text."""
        self.text.append(data)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = full_run(tmp_path_factory.mktemp("page"))
    report.write(run, ("html",), charts=False)
    return run


@pytest.fixture(scope="module")
def page(full: Run) -> str:
    return (full.folder / "report.html").read_text(encoding="utf-8")


def embedded(page: str) -> Any:
    found = re.search(r'<script type="application/json" id="aggregates">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


def evil_run(place: Path) -> Run:
    """A server, a configuration and a manifest that put markup wherever text can stand."""
    run = Run.create(place, ["run", EVIL], [instance("beta")])
    lines = [
        observed(EVIL, "latency", float(n), call=f"GET /{EVIL}", error=EVIL, request_id=EVIL, facts={"cold": n % 3 == 0}).line()
        for n in range(80)
    ]
    facts = {"list": f"/{EVIL}", "items": 10, "per_page": 10, "per_page_asked": None, "style": EVIL, "has_last": True}
    lines += [observed(EVIL, "pagination", 90.0 + n, call=f"GET /{EVIL}", facts=facts).line() for n in range(3)]
    lines += [observed(EVIL, "throttling", 100.0 + n, call=f"GET /{EVIL}", remaining=600.0 - n, cost=0.1).line() for n in range(30)]
    run.append_lines(lines)
    finding = {"kind": EVIL, "severity": "error", "instance": EVIL, "says": EVIL, "evidence": [EVIL], "advice": EVIL}
    shift = [{"q": q, "seconds": {"value": 0.1, "low": 0.05, "high": 0.2, "n": 9}} for q in (0.25, 0.5, 0.75)]
    run.note(
        findings=[finding],
        comparisons=[{"a": EVIL, "b": EVIL, "call": EVIL, "says": EVIL, "shift": shift}],
        loads=[
            {
                "instance": EVIL,
                "requests": 9,
                "refused": 1,
                "offered_per_s": 3.0,
                "achieved_per_s": 3.0,
                "latency_s": {"p50": 0.2},
                "stopped_by": EVIL,
            }
        ],
        rates=[],
        tool=EVIL,
    )
    run.finish(EVIL)
    return run


@pytest.fixture(scope="module")
def evil_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run of evil text."""
    run = evil_run(tmp_path_factory.mktemp("evil"))
    report.write(run, ("html",), charts=False)
    return run.folder / "report.html"


@pytest.mark.untraced
def test_the_page_stands_alone(page: str) -> None:
    """Every address in it is an anchor of its own or data; its policy forbids all else; no handler stands in an attribute."""
    found = Elements(page)
    ids = set(found.ids)
    assert [link for link in found.links if not (link.startswith("data:") or (link.startswith("#") and link[1:] in ids))] == []
    assert "default-src 'none'" in page
    assert found.handlers == []
    assert not re.search(r"url\((?!#)|@import", page)
    assert len(ids) == len(found.ids), "an id stands twice"


def test_the_first_screen_in_order(page: str) -> None:
    """Answers, then findings by severity, then what to do next, then the questions with their pictures."""
    marks = [
        'class="answers"',
        'id="findings"',
        "Warnings",
        "Good to know",
        'id="next"',
        'id="rate"',
        'id="throttle"',
        'id="latency"',
        'id="lists"',
        'id="load"',
        'id="trace"',
    ]
    places = [page.index(mark) for mark in marks]
    assert places == sorted(places)
    assert "<b>beta</b>: 17 calls/s, 10 in flight, bound by reservations; 1.4 times slower than sandbox</li>" in page


def test_aggregates_are_embedded(page: str, full: Run) -> None:
    """The page holds the document as JSON, as `report.json` has it."""
    assert embedded(page) == plain(report.document(full))


@pytest.mark.untraced
def test_long_lists_are_cut_with_their_length(tmp_path: Path) -> None:
    """Of 1,200 calls the page embeds 1,000 and shows 200, says how many there are, and stays small."""
    run = Run.create(tmp_path, ["run"], [instance("beta")])
    run.append_lines(observed("beta", "latency", float(n), call=f"GET /{n}").line() for n in range(1_200))
    report.write(run, ("html",), charts=False)
    page = (run.folder / "report.html").read_text(encoding="utf-8")
    assert embedded(page)["cut"] == {"latency": 1_200}
    assert len(embedded(page)["latency"]) == 1_000
    assert "200 of 1,200 rows, the first ones. All stand in <code>report.json</code>." in page
    assert len(page) < 2_000_000


def test_colours_are_the_pages_choice(page: str) -> None:
    """No colour of matplotlib's is left in a picture: each is a variable, so dark mode turns it."""
    pictures = re.findall(r"<svg role=.*?</svg>", page, re.DOTALL)
    assert len(pictures) == 10
    for picture in pictures:
        assert set(re.findall(r"#[0-9a-fA-F]{6}\b", picture)) == set()
        assert "var(--ink)" in picture
        assert "<metadata" not in picture


@pytest.mark.untraced
def test_evil_text_stays_text(evil_page: Path) -> None:
    """Markup from a server, a name or a manifest makes no element, ends no script, and the embedded JSON holds it unchanged."""
    page = evil_page.read_text(encoding="utf-8")
    found = Elements(page)
    assert found.tags.count("script") == 2
    assert "alert(1)" in "".join(found.text)
    assert [link for link in found.links if "javascript" in link] == []
    assert embedded(page)["answers"][1]["instance"] == EVIL
    assert "{{7*7}}" in page


def test_markdown_of_evil_text(tmp_path: Path) -> None:
    """In Markdown no tag, link, table cell or heading can be made either."""
    run = evil_run(tmp_path)
    report.write(run, ("md",), charts=False)
    text = re.sub(r"\\.", "", (run.folder / "report.md").read_text(encoding="utf-8"))
    bare = re.sub(r"(`+) .*? \1|`[^`\n]+`", "", text)
    assert re.findall(r"[<\[`]", re.sub(r"\n!\[[^\]]*\]\(charts/[\w-]+\.png\)", "", bare)) == []
    tables = re.findall(r"(?:^\|.*\n)+", bare, re.MULTILINE)
    assert len(tables) >= 5
    assert all(len({line.count("|") for line in table.splitlines()}) == 1 for table in tables)


def opened(page: Path, folder: Path, script: str, *flags: str) -> tuple[dict[str, Any], list[str]]:
    """What `script` (an expression) says of the page in Chromium, and what the console got."""
    assert CHROMIUM
    copy = folder / "opened.html"
    text = page.read_text(encoding="utf-8")
    copy.write_text(text + f"<script>document.title = 'SAID' + JSON.stringify({script});</script>", encoding="utf-8")
    done = subprocess.run(
        [
            CHROMIUM,
            *FLAGS,
            "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={folder / 'profile'}",
            *flags,
            "--dump-dom",
            copy.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    said = re.search(r"<title>SAID(.*?)</title>", done.stdout, re.DOTALL)
    assert said, done.stderr[-2000:]
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(said[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")), console


needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium cannot be had here")
LOOK = """(() => {
  const head = document.querySelectorAll("#table-pagination th")[3];
  const column = () => [...document.querySelectorAll("#table-pagination tbody tr")].map((row) => row.cells[3].textContent);
  const before = column(); head.querySelector("button").click(); const up = column(), first = head.getAttribute("aria-sort");
  head.querySelector("button").click();
  return { before, up, down: column(), first, second: head.getAttribute("aria-sort"),
    fetched: performance.getEntriesByType("resource").map((one) => one.name),
    paper: getComputedStyle(document.body).backgroundColor, ink: getComputedStyle(document.querySelector("#latency svg text")).fill,
    wide: document.documentElement.scrollWidth > document.documentElement.clientWidth, alerts: window.alerted || 0,
    scrolls: document.querySelectorAll(".scroll.wide").length };
})()"""


@needs_chromium
@pytest.mark.slow
@pytest.mark.parametrize(
    ("scheme", "paper", "ink"), [("1", "rgb(254, 254, 254)", "rgb(27, 32, 39)"), ("0", "rgb(20, 24, 29)", "rgb(232, 235, 238)")]
)
def test_in_a_browser(full: Run, tmp_path: Path, scheme: str, paper: str, ink: str) -> None:
    """Chromium opens it without a console message or a request; a table sorts both ways; light and dark turn page and pictures."""
    said, console = opened(full.folder / "report.html", tmp_path, LOOK, f"--blink-settings=preferredColorScheme={scheme}")
    assert console == []
    assert said["fetched"] == []
    assert said["up"] == sorted(said["before"], key=int)
    assert said["down"] == sorted(said["before"], key=int, reverse=True)
    assert said["before"] != said["down"]
    assert (said["first"], said["second"]) == ("ascending", "descending")
    assert (said["paper"], said["ink"]) == (paper, ink)


@needs_chromium
@pytest.mark.slow
def test_on_a_phone(full: Run, tmp_path: Path) -> None:
    """At phone width the page itself does not scroll sideways; wide tables and pictures do so inside their frames, which say so."""
    said, console = opened(full.folder / "report.html", tmp_path, LOOK, "--window-size=500,900")
    assert (said["wide"], console) == (False, [])
    assert said["scrolls"] >= 10


@pytest.mark.untraced
@needs_chromium
@pytest.mark.slow
def test_evil_text_in_a_browser(evil_page: Path, tmp_path: Path) -> None:
    """What a server put into names runs nothing: no dialog, no console message, three scripts with the test's own."""
    said, console = opened(
        evil_page, tmp_path, "{scripts: document.scripts.length, data: JSON.parse(aggregates.textContent).answers.length}"
    )
    assert (said, console) == ({"scripts": 3, "data": 2}, [])


@needs_chromium
@pytest.mark.slow
def test_on_paper(full: Run, tmp_path: Path) -> None:
    """It prints: a PDF of several pages comes out."""
    assert CHROMIUM
    target = tmp_path / "report.pdf"
    words = [CHROMIUM, *FLAGS, "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={tmp_path / 'profile'}"]
    subprocess.run(
        [*words, f"--print-to-pdf={target}", (full.folder / "report.html").as_uri()], capture_output=True, timeout=90, check=False
    )
    assert target.read_bytes().count(b"/Type /Page\n") >= 5
