"""An installed wheel works as the checkout does. No network: the libraries are those of the environment that runs the tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("wheel")]


def run(argv: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV", "VIRTUAL_ENV"))}
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=300, check=False, env={**kept, **environment})


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout without build isolation."""
    pytest.importorskip("hatchling", reason="hatchling is not installed")
    out = tmp_path_factory.mktemp("wheel")
    done = run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)], ROOT)
    assert done.returncode == 0, done.stderr
    (path,) = out.glob("canvas_probes-*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an empty environment with the wheel in it, and this environment's libraries behind it."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    site = next(folder.glob("lib/python*/site-packages"))
    with_pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--python", str(folder / "bin" / "python")]
    done = run([*with_pip, "install", "--no-deps", "--no-index", str(wheel)], folder)
    assert done.returncode == 0, done.stderr
    libraries = sysconfig.get_paths()["purelib"]
    (site / "libraries.pth").write_text(f"{libraries}\n", encoding="utf-8")
    return folder / "bin"


def test_what_the_wheel_holds(wheel: Path) -> None:
    """Every file that git knows under probes/ and locustfiles/ is in the wheel, and nothing else but its own metadata."""
    known = run(["git", "ls-files", "-co", "--exclude-standard", "probes", "locustfiles"], ROOT)
    if known.returncode:
        pytest.skip("git is not installed, or this is no checkout")
    expected = {name.replace("locustfiles/", "probes/_locustfiles/", 1) for name in known.stdout.split() if (ROOT / name).is_file()}
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == expected


def test_it_is_the_installed_one(installed: Path, tmp_path: Path) -> None:
    """The package comes from the empty environment, not from the checkout, and the locustfiles came with it."""
    held = "*sorted(p.name for p in (here / '_locustfiles').glob('*.py'))"
    code = f"import probes, pathlib; here = pathlib.Path(probes.__file__).parent; print(here); print({held})"
    done = run([str(installed / "python"), "-c", code], tmp_path)
    assert done.returncode == 0, done.stderr
    place, files = done.stdout.splitlines()
    assert Path(place).is_relative_to(installed.parent)
    assert files.split() == sorted(path.name for path in (ROOT / "locustfiles").glob("*.py"))


def test_help_and_list(installed: Path, tmp_path: Path) -> None:
    """`probes --help` names the commands of the contract, `probes list --json` the scenarios, from an empty folder."""
    done = run([str(installed / "probes"), "--help"], tmp_path, NO_COLOR="1", COLUMNS="100")
    assert done.returncode == 0, done.stderr
    commands = "demo simulate list run compare diagnose rate plan load explain fetch roster report history export deploy".split()
    assert [command for command in commands if f" {command} " not in done.stdout] == []
    done = run([str(installed / "probes"), "list", "--json"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert {"reach", "latency", "throttling", "pagination"} <= {entry["name"] for entry in json.loads(done.stdout)["scenarios"]}
    assert list(tmp_path.iterdir()) == []


def test_the_demos_first_steps(installed: Path, tmp_path: Path) -> None:
    """From an empty folder: the simulator serves, scenarios ask it over TCP, the report is told again."""
    probes = str(installed / "probes")
    (tmp_path / "quick.toml").write_text("time_scale = 0.05\n", encoding="utf-8")
    words = [probes, "simulate", "--profile", "test", "--settings", "quick.toml", "--port", "0"]
    server = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        url, token = told(server)
        environment = {"CANVAS_API_URL": url, "CANVAS_API_TOKEN": token}
        done = run([probes, "run", "reach", "pagination", "--json", "--quiet"], tmp_path, **environment)
        assert done.returncode == 0, done.stderr
        folder = tmp_path / json.loads(done.stdout)["run"]
        done = run([probes, "report", str(folder), "--format", "html,md,json"], tmp_path)
        assert done.returncode == 0, done.stderr
        assert {"report.html", "report.md", "report.json"} <= {path.name for path in folder.iterdir()}
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        assert (10, 100) in {(row["default_per_page"], row["max_per_page"]) for row in report["pagination"]}
    finally:
        server.terminate()
        server.wait(20)
        assert server.stdout is not None
        server.stdout.close()


def told(server: subprocess.Popen[str]) -> tuple[str, str]:
    """The address and the token that the simulator prints when it is ready."""
    assert server.stdout is not None
    url = ""
    for line in server.stdout:
        words = line.split()
        if " answers at " in line:
            url = words[-1]
        if line.startswith("Its token is "):
            return url, words[-1]
    raise AssertionError(f"the simulator ended by itself: {server.wait(10)}")
