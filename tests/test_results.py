from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from probes.config import Instance
from probes.observation import FIELDS, Outcome
from probes.runs import Run, described

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "results" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [*FIELDS, *Outcome, *described(Instance("a", "https://a.example"))])
def test_every_field_is_explained(name: str) -> None:
    """Each field of an observation, each outcome and each fact of an instance stands in results/README.md."""
    assert f"`{name}`" in TEXT


def test_every_field_of_a_manifest_is_explained(tmp_path: Path) -> None:
    """Each field of a finished run's manifest stands in results/README.md."""
    run = Run.create(tmp_path, ["rate"], [])
    run.finish("done")
    assert [name for name in run.manifest if f"`{name}`" not in TEXT] == []


def test_no_field_is_invented() -> None:
    """The table of an observation's fields names none that does not exist, in the order in which they are written."""
    table = TEXT[TEXT.index("## `observations.jsonl`") : TEXT.index("`outcome` is one of")]
    named = [name for line in table.splitlines() if line.startswith("| `") for name in re.findall(r"`(\w+)`", line.split("|")[1])]
    assert named == list(FIELDS)


@pytest.mark.parametrize("document", ["run", "report"])
def test_every_field_of_a_published_schema_is_explained(document: str) -> None:
    """Each property of the manifest's and of the report's schema stands in results/README.md."""
    schema = json.loads((ROOT / "probes" / "schemas" / f"{document}-1.json").read_text(encoding="utf-8"))
    assert [name for name in schema["properties"] if f"`{name}`" not in TEXT] == []
