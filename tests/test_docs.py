from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer.main

from probes import config
from probes.calls import parse_lines
from probes.cli import app
from probes.dialects import BUILT_IN as DIALECTS
from probes.errors import ExitCode
from probes.explain.questions import QUESTIONS
from probes.jobs.deploy import names as deployed
from probes.scenarios import BUILT_IN as SCENARIOS
from probes.simulator.profiles import PROFILES
from probes.simulator.settings_file import settings_of
from probes.wording import rounded_down

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
SCHEMAS = ROOT / "probes" / "schemas"
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined] # a group, as there are several
EVERYWHERE = "--config -i --instance --out --json --quiet --fail-on --help --install-completion --show-completion".split()
CONTRACT = {
    "demo": "",
    "simulate": "--profile --port --like --settings",
    "list": "",
    "run": "-i",
    "compare": "-i",
    "diagnose": "-i --call --workers --calls",
    "rate": "-i --call --calls-file --job --budget --confirm",
    "plan": "--calls --rehearse",
    "load": "-i --rate --for --call --workers --max-refusals",
    "explain": "-i",
    "fetch": "-i --all",
    "roster": "-i --course --xlsx",
    "report": "--format",
    "history": "",
    "export": "--listen --every",
    "deploy": "",
}
"""Each command's option words as the contract has them."""
SOURCES = [README, (ROOT / "results" / "README.md").read_text(encoding="utf-8"), CHANGELOG]


def section(title: str) -> str:
    """The text of one chapter, to the next of its rank."""
    start = README.index(f"\n## {title}\n")
    end = README.find("\n## ", start + 1)
    return README[start : end if end > 0 else len(README)]


def blocks(text: str, language: str) -> list[str]:
    """Fenced blocks of a language, freed of the list's indentation."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```$", text, re.MULTILINE | re.DOTALL)
    return ["\n".join(line.removeprefix(indent) for line in body.splitlines()) for indent, body in found]


def row(command: str) -> str:
    """What the README says of a command: its row of the table, with the tables of load beside it."""
    text = section("Commands")
    mine = next(line for line in text.splitlines() if re.match(rf"\| `probes {command}[ `]", line))
    return mine + (text[text.index("\n`probes load`:\n") : text.index("A call is written")] if command == "load" else "")


def words(text: str) -> set[str]:
    """The option words in a text."""
    return set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", text))


def options(command: str) -> set[str]:
    """Every option word that the program takes for a command."""
    return {word for one in COMMANDS[command].params for word in (*one.opts, *one.secondary_opts) if word.startswith("-")}


def taken(command: str, line: list[str]) -> bool:
    """Whether the program knows a command and the option words behind it."""
    return command in COMMANDS and {word for word in line if re.fullmatch(r"--?[a-z][a-z-]*", word)} <= options(command) | {"--help"}


def shown(text: str) -> Iterator[list[str]]:
    """Each command line that a text shows, as words; comments and placeholders stay in."""
    for line in re.findall(r"(?:^ *|`)((?:\.venv/bin/)?probes [a-z][^`\n]*)", text, re.MULTILINE):
        yield re.split(r"\s+", line.partition("  #")[0].strip())


def column(text: str, number: int) -> list[str]:
    """Names in backticks in one column of the tables in a text."""
    lines = [line.split("|") for line in text.splitlines() if line.startswith("| ")]
    return [name.rstrip("/") for line in lines for name in re.findall(r"`([\w/]+)`", line[number])]


def links(text: str) -> list[str]:
    """Targets of links within the project."""
    return [target for target in re.findall(r"\]\(([^)#]+)", text) if "://" not in target]


def files(text: str) -> list[str]:
    """Paths in backticks that name a file or folder of the project."""
    named = re.findall(r"`((?:probes|locustfiles|tests|results)/[\w./-]*)`", text)
    return [name for name in named if name.isascii() and "NAME" not in name and "RUN" not in name and name != "probes/_locustfiles"]


def test_every_command_is_in_the_contract_and_in_the_readme() -> None:
    """The program has the contract's commands and no others, and each has its row in the README."""
    assert set(COMMANDS) == set(CONTRACT)
    assert all(row(command) for command in COMMANDS)


@pytest.mark.parametrize("command", sorted(CONTRACT))
def test_option_words(command: str) -> None:
    """A command takes the contract's option words, and the README's row names each of its own and none that it does not take."""
    known, named = options(command), words(row(command))
    assert set(CONTRACT[command].split()) <= known
    assert known - named - set(EVERYWHERE) == set()
    assert named - known == set()


def test_common_options_are_explained() -> None:
    """The options that nearly all commands know stand in their table."""
    text = section("Commands")
    assert [word for word in EVERYWHERE if f"`{word}" not in text and f"{word}`" not in text and f" {word}" not in text] == []


@pytest.mark.parametrize("text", SOURCES, ids=["README", "results", "CHANGELOG"])
def test_shown_command_lines_are_ones_the_program_takes(text: str) -> None:
    """Each `probes ...` line names a command that exists and options that it takes."""
    assert [" ".join(line) for line in shown(text) if not taken(line[1], line[2:])] == []


def test_exit_codes() -> None:
    """The README's table of exit codes has each code of the program, in order, and no other."""
    table = section("Commands").partition("| exit | when |")[2]
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)] == [int(code) for code in ExitCode]


def test_configuration_keys() -> None:
    """Each key of an instance, each kind and each environment variable is explained, and no key is invented."""
    text = section("Configuration")
    assert sorted(column(text, 1)) == sorted({field.name for field in fields(config.Instance)} - {"name", "secret"})
    expected = [*config.Kind, *config.URL_VARIABLES, *config.TOKEN_VARIABLES]
    assert [word for word in expected if f"`{word}`" not in text] == []


def test_lists_of_names_are_whole() -> None:
    """Each dialect, scenario, simulator profile, file to deploy and locustfile is named."""
    locustfiles = [path.stem for path in (ROOT / "locustfiles").glob("[a-z]*.py")]
    expected = {
        "Configuration": DIALECTS,
        "Map of the code": SCENARIOS,
        "Commands": PROFILES,
        "Prometheus": deployed(),
        "Load on many machines": locustfiles,
    }
    assert [(title, name) for title, names in expected.items() for name in names if name not in section(title)] == []


def test_every_module_is_on_the_map() -> None:
    """The map names each module and package of `probes` once, but for those it puts below another."""
    below = {"__init__", "__main__", "transport", "exchange", "phases", "roster_tables", "schemas"}
    modules = {path.stem for path in (ROOT / "probes").iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    named = column(section("Map of the code"), 2)
    assert len(named) == len(set(named))
    assert modules - set(named) - below == set()
    assert set(named) - modules == {"locustfiles", "tests/bench"}


@pytest.mark.parametrize("text", SOURCES, ids=["README", "results", "CHANGELOG"])
def test_every_file_named_exists(text: str) -> None:
    """Links and paths in backticks lead somewhere."""
    here = ROOT / "results" if text == SOURCES[1] else ROOT
    assert [name for name in links(text) if not (here / name).exists()] == []
    assert [name for name in files(text) if not (ROOT / name).exists()] == []


def test_links_within_the_page() -> None:
    """Each link to a chapter of this page meets a heading."""
    heads = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in re.findall(r"^## (.+)$", README, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]+)\)", README)) - heads == set()


def test_snippets_are_valid() -> None:
    """JSON parses and is an estimated number, TOML is read by what reads it, Python compiles, the calls file holds calls."""
    assert [sorted(json.loads(text)) for text in blocks(README, "json")] == [["high", "low", "n", "value"]]
    instances, simulator, entry_points = (tomllib.loads(text) for text in blocks(README, "toml"))
    assert set(instances["instances"]["beta"]) <= {field.name for field in fields(config.Instance)}
    assert settings_of(simulator, "README").slots == 4
    assert list(entry_points["project"]["entry-points"]) == ["probes.dialects"]
    assert [len(ast.parse(text).body) for text in blocks(README, "python")] == [8]
    calls = parse_lines(next(text for text in blocks(README, "") if text.startswith("# comment")).splitlines(), "README")
    assert [(call.weight, call.method) for call in calls] == [(3.0, "GET"), (1.0, "POST")]


def test_the_first_configuration_is_one(tmp_path: Path) -> None:
    """The README's `probes.toml` is taken as it stands."""
    file = tmp_path / "probes.toml"
    file.write_text(blocks(README, "toml")[0], encoding="utf-8")
    url = "https://school.beta.instructure.com"
    expected = config.Instance("beta", url, config.Kind.BETA, token_env="CANVAS_BETA_TOKEN", max_rate=20.0, max_in_flight=12)
    assert config.load(file).instances == {"beta": expected}


def test_limiter_snippet_names_what_exists() -> None:
    """What the README says of the limiter is there: its constructors, its gates, tickets, acquire and release."""
    limiter = import_module("probes").Limiter
    used = set(re.findall(r"[Ll]imiter\.(\w+)\(", README))
    assert used == {
        "from_run",
        "canvas",
        "transport",
        "async_transport",
        "requests_adapter",
        "ticket",
        "acquire",
        "acquire_async",
        "release",
    }
    assert [name for name in used if not callable(getattr(limiter, name, None))] == []


def test_every_document_is_told_with_its_schema() -> None:
    """Each published schema's name stands in the README and in the changelog, and each name there is published."""
    published = {f"probes.{path.stem.replace('-', '/')}" for path in SCHEMAS.glob("*.json")} - {"probes.observation/1"}
    assert set(re.findall(r"`(probes\.\w+/\d)`", section("Run folders and JSON"))) == published
    assert set(re.findall(r"`(probes\.\w+/\d)`", CHANGELOG)) == published


def test_questions_of_explain_exist() -> None:
    """A question that the README shows is on the list."""
    assert set(re.findall(r"--question ([a-z-]+)", README)) <= {question.name for question in QUESTIONS}


def test_make_targets_exist() -> None:
    """Each `make TARGET` of the README is in the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"(?:`|^ +)make ([a-z]+)", README, re.MULTILINE))
    assert targets
    assert [target for target in targets if not re.search(rf"^{target}[ :%-]", makefile, re.MULTILINE)] == []


def test_the_demo_shown_is_the_example() -> None:
    """The rates on the first screen are those of results/example."""
    rates = json.loads((ROOT / "results" / "example" / "report.json").read_text(encoding="utf-8"))["rates"]
    safe = [(one["instance"], one["safe"]) for one in rates]
    told = [(name, rounded_down(one["rate_per_s"]["low"]), str(one["in_flight"]), one["bound_by"]) for name, one in safe]
    assert re.findall(r"^  (\w+) +([\d.]+) calls/s, (\d+) in flight, bound by (\w+)", README, re.MULTILINE) == told


@pytest.mark.parametrize("document", ["report", "manifest"])
def test_the_example_keeps_its_schema(document: str) -> None:
    """The committed run is a run of this version: its documents keep the published schemas."""
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((SCHEMAS / ("run-1.json" if document == "manifest" else "report-1.json")).read_text(encoding="utf-8"))
    jsonschema.validate(json.loads((ROOT / "results" / "example" / f"{document}.json").read_text(encoding="utf-8")), schema)


def test_the_example_is_whole_and_small() -> None:
    """It has its observations and its report in three forms, in less than 3 MB, and names no folder of its maker."""
    example = ROOT / "results" / "example"
    names = {path.name for path in example.iterdir()}
    assert names >= {"manifest.json", "observations.jsonl", "report.json", "report.html", "report.md", "charts"}
    assert sum(path.stat().st_size for path in example.rglob("*") if path.is_file()) < 3_000_000
    texts = [path.read_text(encoding="utf-8") for path in example.iterdir() if path.is_file()]
    assert [text[:40] for text in texts if re.search(r"[\"' (]/(?:home|root|tmp|Users)/", text)] == []
