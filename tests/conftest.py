"""What all tests share: they never see the configuration or the tokens of whoever runs them."""

from __future__ import annotations

import contextlib
import importlib
import os
import pkgutil
import sys
import warnings
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

import probes
from probes.config import TOKEN_VARIABLES, URL_VARIABLES

DATA = Path(__file__).parent / "data"

settings.register_profile("probes", deadline=None)  # the machine's other work is no failure
settings.load_profile("ci" if os.environ.get("CI") else "probes")


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Coverage sees our modules begin, and not how tests are found: that takes as long again where it looks."""
    tracer = sys.gettrace()
    if tracer is not None and not session.config.getoption("numprocesses", None):  # who hands tests out runs nothing
        _import_in_turn([module.name for module in pkgutil.walk_packages(probes.__path__, "probes.")])
        sys.settrace(None)
        if session.config.args_source is pytest.Config.ArgsSource.TESTPATHS:
            _import_in_turn(sorted(path.stem for path in DATA.parent.glob("test_*.py")))
    try:
        return (yield)
    finally:
        sys.settrace(tracer)


def _import_in_turn(names: list[str]) -> None:
    """Each worker begins elsewhere: in a fresh clone each compiles a part of the modules, and finds the others compiled."""
    number, workers = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"), os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")
    first = int(number) * len(names) // int(workers)
    for name in names[first:] + names[:first]:
        with warnings.catch_warnings(action="error"), contextlib.suppress(Exception):  # what fails is told once it is collected
            if not name.endswith("__main__"):
                importlib.import_module(name)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """The process that hands tests out to workers runs none of our code, and is not traced either."""
    tracer = sys.gettrace()
    if session.config.getoption("numprocesses", None):
        sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(tracer)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """A test marked `untraced` runs without the tracer of coverage; what it alone would reach counts as not reached."""
    tracer = sys.gettrace()
    if item.get_closest_marker("untraced"):
        sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(tracer)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in (*URL_VARIABLES, *TOKEN_VARIABLES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "no-configuration"))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setenv("CANVAS_PROBES_CHARTS", "no")  # a second of each command; `drawing` is for tests of one that draws


@pytest.fixture
def drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands draw the pictures of their reports, as they do for everybody else."""
    monkeypatch.delenv("CANVAS_PROBES_CHARTS")


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of recorded and broken files."""
    return DATA


@pytest.fixture(scope="session", autouse=True)
def _matplotlib_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ.setdefault("MPLBACKEND", "Agg")
