from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from commanded import Ended

from probes.errors import UsageError
from probes.exporter import webconfig
from probes.jobs import deploy
from probes.metrics import Metrics

FOLDER = Path(deploy.__file__).parents[1] / "deploy"


def tool(name: str) -> str:
    """A program on PATH or where `make tools` puts it; the test is skipped by its name otherwise."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "canvas-probes" / "bin"
    found = shutil.which(name) or shutil.which(name, path=str(cache))
    if found is None:
        pytest.skip(f"{name} is not here: make tools")
    return found


def said(*words: str) -> Ended:
    done = subprocess.run([sys.executable, "-m", "probes", *words], capture_output=True, text=True, timeout=60, check=False)
    return Ended(done.returncode, done.stdout, done.stderr, Path())


def dashboard() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))
    return document


def panels() -> list[dict[str, Any]]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def test_names() -> None:
    """Every file for operators, in order, each with what it is."""
    told = deploy.listing()
    assert [one["name"] for one in told.document["files"]] == list(deploy.TITLES)
    assert told.text.splitlines()[0] == "rules.yml             recording rules, burn-rate alerts, throttling as an indicator of its own"


def test_prints_the_file() -> None:
    """`probes deploy NAME` prints the file, byte by byte."""
    ended = said("deploy", "rules.yml")
    assert (ended.code, ended.out) == (0, (FOLDER / "rules.yml").read_text(encoding="utf-8"))


def test_documents() -> None:
    """With --json the list is one document, and so is a file, with its text; both keep the published schema, which refuses others."""
    schema = json.loads((FOLDER.parent / "schemas" / "deploy-1.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    listed, one = said("deploy", "--json", "--quiet"), said("deploy", "rules.yml", "--json")
    for ended in (listed, one):
        assert (ended.code, ended.err) == (0, "")
        jsonschema.validate(ended.document, schema)
    assert listed.document == {"schema": "probes.deploy/1", "files": [{"name": name, "is": deploy.TITLES[name]} for name in deploy.TITLES]}
    assert one.document == {
        "schema": "probes.deploy/1",
        "files": [{"name": "rules.yml", "is": deploy.TITLES["rules.yml"], "text": (FOLDER / "rules.yml").read_text(encoding="utf-8")}],
    }
    for wrong in ({"schema": "probes.deploy/1", "files": []}, {"schema": "probes.deploy/1", "files": [{"name": "rules.yml"}]}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


def test_unknown_name() -> None:
    """An unknown name is exit 2 and one sentence with the nearest."""
    ended = said("deploy", "rule.yml")
    assert (ended.code, ended.out, ended.err) == (2, "", "probes: There is no file 'rule.yml' to deploy: did you mean rules.yml?\n")
    with pytest.raises(UsageError, match=r"did you mean dashboard\.json\?"):
        deploy.text("dashboard")
    with pytest.raises(UsageError, match=r"there are rules\.yml, "):
        deploy.text("zzzzzzzz")


@pytest.mark.parametrize(
    "words",
    [
        ["check", "rules", "--lint=all", "--lint-fatal", "rules.yml"],
        ["test", "rules", "rules-test.yml"],
        ["check", "config", "prometheus.yml"],
    ],
)
def test_promtool(words: list[str]) -> None:
    """The rules are taken by promtool, their tests pass, the scrape configuration is taken."""
    thrifty = {**os.environ, "GOGC": "800", "GOMAXPROCS": "1"}  # else two fifths of its time go into collecting garbage
    done = subprocess.run([tool("promtool"), *words], cwd=FOLDER, env=thrifty, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


def test_web_config_is_one() -> None:
    """The example is taken as it stands, but for a hash that is somebody's."""
    web = webconfig.read(FOLDER / "web-config.yml")
    assert web.tls is not None
    assert (web.tls.cert_file, web.tls.min_version, list(web.users)) == (FOLDER / "server.crt", "TLS12", ["prometheus"])


def test_every_alert_is_tested() -> None:
    """Each alert of rules.yml stands in rules-test.yml or says nothing but what a test of its sibling says."""
    alerts = set(re.findall(r"alert: (\w+)", (FOLDER / "rules.yml").read_text(encoding="utf-8")))
    assert set(re.findall(r"alertname: (\w+)", (FOLDER / "rules-test.yml").read_text(encoding="utf-8"))) == alerts


def test_files_name_metrics_that_are_there() -> None:
    """Every metric in rules and dashboard is one that the exporter exposes."""
    exposed = {sample.name for family in Metrics().registry.collect() for sample in family.samples}
    described = {name for family in Metrics().registry.collect() for name in (family.name, f"{family.name}_total")}
    source = (FOLDER.parent / "exporter" / "newest.py").read_text() + (FOLDER.parent / "exporter" / "exporter.py").read_text()
    others = set(re.findall(r'"(canvas_probe_\w+)"', source))
    for name in ("rules.yml", "dashboard.json"):
        used = set(re.findall(r"(?<!:)\bcanvas_probe_\w+(?!\w*:)", (FOLDER / name).read_text(encoding="utf-8")))
        bare = {re.sub(r"_(bucket|count|sum)$", "", one) for one in used}
        assert sorted(bare - exposed - described - others) == [], name


def test_dashboard_is_templated() -> None:
    """As the dashboard linter wants: data source, job and instance are variables, and nobody edits it in place."""
    board = dashboard()
    variables = {one["name"]: one for one in board["templating"]["list"]}
    assert variables["datasource"]["query"] == "prometheus"
    for name in ("job", "instance"):
        one = variables[name]
        assert (one["type"], one["multi"], one["includeAll"], one["allValue"]) == ("query", True, True, ".+")
        assert one["datasource"]["uid"] == "${datasource}"
    assert board["editable"] is False
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_each_panel(panel: dict[str, Any]) -> None:
    """A panel has a title, a description, a unit; its queries take job and instance, and rates over $__rate_interval."""
    assert panel["title"]
    assert panel["description"]
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"]["uid"] == "${datasource}"
    for target in panel["targets"]:
        selectors = re.findall(r"canvas_probe_\w+\{([^}]*)\}", target["expr"])
        assert selectors
        assert all('job=~"$job", instance=~"$instance"' in one for one in selectors)
        assert set(re.findall(r"rate\([^[]*\[([^]]+)\]", target["expr"])) <= {"$__rate_interval"}
        for counter in re.findall(r"(\w*)\(canvas_probe_\w+_total\{", target["expr"]):
            assert counter in {"rate", "increase"}


def test_panels_do_not_overlap() -> None:
    """Each cell of the grid, 24 wide, belongs to one panel."""
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert all(x < 24 for x, _ in cells)
        taken |= cells
