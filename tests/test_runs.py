from __future__ import annotations

import dataclasses
import json
import math
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from probes import __version__, report
from probes.config import Instance, Kind
from probes.errors import ExitCode, RunFolderError
from probes.observation import Observation, Outcome
from probes.runs import Run, described, write_atomically

TOKEN = "1234~abcdefghijklmnopqrstuvwxyz0123456789"
BETA = Instance("beta", "https://school.beta.instructure.com", Kind.BETA, token_env="CANVAS_BETA_TOKEN", max_rate=20.0, secret=TOKEN)
ONE = Observation("beta", "latency", "GET /a", "GET", "/a", 0.0, 0.001, 0.2, 200, Outcome.OK, remaining=600.0, cost=0.1)
INSTANT = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00$")


def observed(path: str) -> Observation:
    return dataclasses.replace(ONE, path=path, call=f"GET {path}")


def test_a_new_run(tmp_path: Path) -> None:
    """A new folder is named by its start and its command; its manifest tells the instances without their tokens."""
    run = Run.create(tmp_path / "results", ["rate", "-i", "beta"], [BETA])
    assert re.fullmatch(r"\d{8}-\d{6}-rate-[0-9a-f]{4}", run.folder.name)
    manifest = json.loads((run.folder / "manifest.json").read_text(encoding="utf-8"))
    assert INSTANT.match(manifest.pop("started_at"))
    assert manifest == {
        "schema": "probes.run/1",
        "tool": f"canvas-probes {__version__}",
        "command": ["rate", "-i", "beta"],
        "instances": [
            {
                "name": "beta",
                "url": "https://school.beta.instructure.com",
                "kind": "beta",
                "dialect": "canvas",
                "max_rate": 20.0,
                "max_in_flight": None,
                "max_requests": None,
                "allow_load": False,
                "allow_writes": False,
            }
        ],
        "ended": None,
    }
    assert sorted(path.name for path in run.folder.iterdir()) == ["manifest.json", "observations.jsonl"]
    assert list(run.observations()) == []
    assert Run.create(tmp_path, [], []).folder.name.split("-")[2] == "run"


def test_described_leaves_the_secret_out() -> None:
    """Neither a token nor where it is kept gets into a manifest."""
    assert not {"secret", "token_env", "token_file"} & set(described(BETA))


def test_observations_come_back_in_order(tmp_path: Path) -> None:
    """What was appended is read back with its line number, by a reader that opened the folder anew."""
    run = Run.create(tmp_path, ["run"], [BETA])
    run.append(observed("/a"))
    run.append_lines([observed("/b").line(), observed("/c").line()])
    again = Run.open(run.folder)
    assert list(again.numbered()) == [(1, observed("/a")), (2, observed("/b")), (3, observed("/c"))]
    assert again.started_at == run.manifest["started_at"]


def test_broken_lines_are_left_out(tmp_path: Path) -> None:
    """A line that is no observation, and a last line without its end, are left out; numbers still name the lines of the file."""
    run = Run.create(tmp_path, ["run"], [BETA])
    whole = observed("/a").line()
    deep = "[" * 100_000
    run.append_lines([whole, "\n", "{}\n", "[]\n", f"{deep}\n", "\x00\n", whole.replace('"ok"', '"fine"'), whole, whole[:-1]])
    assert [number for number, _ in run.numbered()] == [1, 8]


def test_no_token_gets_into_a_folder(tmp_path: Path) -> None:
    """A token in the command, in a fact or in a path is replaced before it reaches the disk."""
    run = Run.create(tmp_path, ["explain", f"Authorization: Bearer {TOKEN}"], [BETA])
    run.append(observed(f"/a?access_token={TOKEN}"))
    run.append(observed(f"/a?access_token={TOKEN.replace('~', '%7E')}"))
    run.note(findings=[{"says": f"the answer quotes {TOKEN}"}])
    run.finish(f"failed: {TOKEN}")
    written = "".join(path.read_text(encoding="utf-8") for path in run.folder.iterdir())
    assert TOKEN.partition("~")[2] not in written
    assert [o.path for o in run.observations()] == ["/a?access_token=[token]"] * 2
    assert Run.open(run.folder).manifest["findings"] == [{"says": "the answer quotes [token]"}]


def test_notes_and_the_end(tmp_path: Path) -> None:
    """Facts are added to the manifest as they become known, numbers that JSON cannot carry as null; the end has its time."""
    run = Run.create(tmp_path, ["rate"], [BETA])
    run.note(spent={"requests": 3, "seconds": math.inf})
    run.finish("done", rates=[])
    manifest = Run.open(run.folder).manifest
    assert (manifest["spent"], manifest["rates"], manifest["ended"]) == ({"requests": 3, "seconds": None}, [], "done")
    assert INSTANT.match(manifest["ended_at"])
    assert not list(run.folder.glob(".*"))


@pytest.mark.parametrize("content", ["", "{", "[]", "5", "\x00", "[" * 100_000])
def test_a_broken_manifest_still_opens(content: str, tmp_path: Path) -> None:
    """Without a readable manifest the observations are still read; what it would have told is unknown."""
    run = Run.create(tmp_path, ["rate"], [BETA])
    run.append(ONE)
    (run.folder / "manifest.json").write_text(content, encoding="utf-8")
    again = Run.open(run.folder)
    assert again.manifest == {"schema": "probes.run/1", "command": [], "instances": [], "ended": None}
    assert again.started_at is None
    assert list(again.observations()) == [ONE]


@pytest.mark.parametrize("value", [5, "x", None, {"a": 1}, [5], [["x"]]])
def test_a_manifest_of_wrong_types(value: object, tmp_path: Path) -> None:
    """What should be a list of tables and is none is left out, so that nobody stumbles over it; the rest stays."""
    run = Run.create(tmp_path, ["rate"], [BETA])
    run.note(instances=value, rates=value, plans=value)
    again = Run.open(run.folder)
    assert again.manifest["command"] == ["rate"]
    assert again.manifest["instances"] == []
    assert not again.manifest.get("rates")
    assert not again.manifest.get("plans")


def says(error: pytest.ExceptionInfo[RunFolderError]) -> str:
    assert error.value.exit_code is ExitCode.FAILED
    return str(error.value)


def test_what_is_no_run_folder(tmp_path: Path) -> None:
    """A folder that is not there, a file, a folder without observations: each has its sentence."""
    with pytest.raises(RunFolderError) as error:
        Run.open(tmp_path / "no")
    assert says(error) == f"{tmp_path / 'no'} is not a run folder: there is no such folder."
    (tmp_path / "file").touch()
    with pytest.raises(RunFolderError) as error:
        Run.open(tmp_path / "file")
    assert says(error) == f"{tmp_path / 'file'} is not a run folder: there is no such folder."
    with pytest.raises(RunFolderError) as error:
        Run.open(tmp_path)
    assert says(error) == f"{tmp_path} is not a run folder: it has no observations.jsonl."
    with pytest.raises(RunFolderError) as error:
        Run.open(tmp_path / ("x" * 300))
    assert says(error).endswith(" cannot be read: File name too long.")


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """Where a run folder cannot be made, the sentence says why and names the option."""
    (tmp_path / "results").touch()
    with pytest.raises(RunFolderError) as error:
        Run.create(tmp_path / "results", ["rate"], [BETA])
    assert re.fullmatch(
        re.escape(f"{tmp_path}/results/") + r"\S+ cannot be written: Not a directory; choose another folder with --out\.", says(error)
    )


def test_a_folder_that_went_away(tmp_path: Path) -> None:
    """When the folder is removed under a run, appending, noting and reading each say so in a sentence."""
    run = Run.create(tmp_path, ["rate"], [BETA])
    for path in run.folder.iterdir():
        path.unlink()
    run.folder.rmdir()
    for act, place, verb in (
        (lambda: run.append(ONE), "observations.jsonl", "written"),
        (lambda: run.note(x=1), "manifest.json", "written"),
        (lambda: list(run.observations()), "observations.jsonl", "read"),
    ):
        with pytest.raises(RunFolderError) as error:
            act()
        assert says(error) == f"{run.folder / place} cannot be {verb}: No such file or directory."


def test_atomic_writing_leaves_the_old_text(tmp_path: Path) -> None:
    """A reader sees the old text until the new one is whole; no draft stays behind."""
    path = tmp_path / "manifest.json"
    write_atomically(path, "old")
    write_atomically(path, "new")
    assert [(p.name, p.read_text(encoding="utf-8")) for p in tmp_path.iterdir()] == [("manifest.json", "new")]


def test_several_processes_may_append(tmp_path: Path) -> None:
    """Lines that two processes append at the same time stay whole."""
    run = Run.create(tmp_path, ["load"], [BETA])
    code = (
        "import sys\nfrom pathlib import Path\nfrom probes.observation import Observation\nfrom probes.runs import Run\n"
        "run = Run.open(Path(sys.argv[1]))\nline = sys.argv[2] + '\\n'\n"
        "for _ in range(300):\n    run.append_lines([line] * 3)\n"
    )
    words = [[sys.executable, "-c", code, str(run.folder), observed(path * 40).line().strip()] for path in ("/a", "/b")]
    children = [subprocess.Popen(argv) for argv in words]
    assert [child.wait(60) for child in children] == [0, 0]
    paths = [o.path for o in run.observations()]
    assert (paths.count("/a" * 40), paths.count("/b" * 40)) == (900, 900)


WRITER = """
import sys
from pathlib import Path
from probes.config import Instance
from probes.observation import Observation, Outcome
from probes.runs import Run

run = Run.create(Path(sys.argv[1]), ["run"], [Instance("beta", "https://school.beta.instructure.com")])
print(run.folder, flush=True)
for n in range(1_000_000):
    sent = n * 0.01
    run.append(
        Observation("beta", "latency", "GET /a", "GET", f"/a?n={n}", sent, sent, sent + 0.2, 200, Outcome.OK, remaining=600.0, cost=0.1)
    )
    if n % 7 == 0:
        run.note(progress=n)
"""


@pytest.mark.untraced
@pytest.mark.slow
def test_twenty_kills_at_random_moments(tmp_path: Path) -> None:
    """Killed at any moment, a run folder stays readable and reportable: all lines but the last are whole, and so is the manifest."""
    moments = random.Random(20)
    for _ in range(20):
        child = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        folder = Path(child.stdout.readline().strip())
        time.sleep(moments.uniform(0.0, 0.15))
        child.send_signal(signal.SIGKILL)
        assert child.wait(10) == -signal.SIGKILL
        child.stdout.close()
        run = Run.open(folder)
        numbers = [int(o.path.rpartition("=")[2]) for o in run.observations()]
        assert numbers == list(range(len(numbers)))
        lines = (folder / "observations.jsonl").read_bytes().count(b"\n")
        assert len(numbers) == lines
        assert run.manifest["ended"] is None
        assert run.manifest.get("progress", 0) <= len(numbers)
        told = report.document(run)
        assert told["schema"] == "probes.report/1"
        assert sum(row["n"] for row in told["latency"]) == len(numbers)
