"""Who may import whom: the table of the design, held. Read off the sources, imports inside functions included."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LONGEST = 300

_SYSTEM, _CLOCK, _WIRE, _NOWHERE = "probes/system.py", "probes/clock.py", "locustfiles/_wire.py", "no module"
ANYWHERE_ELSE: dict[str, str] = {
    **dict.fromkeys("os.kill os.killpg os.getppid os.O_APPEND os.O_BINARY signal.SIGKILL socket.SO_REUSEADDR".split(), _SYSTEM),
    **dict.fromkeys(".add_signal_handler start_new_session= creationflags=".split(), _SYSTEM),
    **dict.fromkeys(".add_reader .add_writer pass_fds= preexec_fn= os.fork os.symlink select.select select.poll".split(), _NOWHERE),
    **dict.fromkeys(["tempfile.NamedTemporaryFile", "time.monotonic", "datetime.fromtimestamp"], _NOWHERE),
    "asyncio.run": _NOWHERE,
    "select.POLLIN": _WIRE,
}
"""What Windows lacks or does otherwise: the module that may use it."""
MODULES = frozenset(name.partition(".")[0] for name in ANYWHERE_ELSE)
LAYERS: dict[str, tuple[int, frozenset[str]]] = {
    "words": (
        1,
        frozenset(
            "errors observation bucket book schedule arrivals pace calls guards stats wording extensions clock instants system".split()
        ),
    ),
    "known": (2, frozenset("words tokens config ceilings addresses buckets dialects explain runs".split())),
    "edges": (
        3,
        frozenset("client exchange transport wire phases pages limiter waiters admission gates hosts adapter load simulator".split()),
    ),
    "ask": (4, frozenset("scenarios roster roster_tables".split())),
    "infer": (
        5,
        frozenset(
            "fit overlaps signatures doubts prices mixture twin safety bounds estimate rates resting windows changes slowing".split()
            + "design rounds search levels stalls pricing compare diagnosis plan findings rules endings foreign lone untold spells".split()
        ),
    ),
    "tell": (6, frozenset("report charts history spreadsheet metrics exporter".split())),
    "start": (7, frozenset("cli jobs __main__".split())),
}
"""Each module of `probes` (or folder of modules) has one layer and imports its own layer and those below."""

FOLDERS_OF_FILES = frozenset({"deploy", "schemas", "templates"})

NEVER = {
    "infer": {"edges", "ask"},  # what is known does not depend on how it was asked: a report is made again from its folder
    "tell": {"edges", "ask"},
}
EXCEPTIONS = {
    ("exporter", "edges"): "it schedules scenarios: the one place right of observations.jsonl that asks",
    ("exporter", "ask"): "as above",
}

OWNERS: dict[str, frozenset[str]] = {
    "typer": frozenset("cli jobs".split()),
    "rich": frozenset("cli jobs".split()),
    "click": frozenset("cli jobs".split()),
    "jinja2": frozenset("report history exporter".split()),
    "matplotlib": frozenset("charts".split()),
    "xlsxwriter": frozenset("spreadsheet".split()),
    "prometheus_client": frozenset("metrics exporter".split()),
    "scipy": frozenset("prices".split()),
    "httpx": frozenset("client exchange transport wire pages limiter waiters gates adapter load simulator".split()),
    "h11": frozenset("wire".split()),
    "httpcore": frozenset("transport".split()),
    "requests": frozenset("adapter".split()),
    "urllib3": frozenset("adapter".split()),
    "starlette": frozenset("simulator exporter".split()),
    "uvicorn": frozenset("simulator exporter".split()),
    "bcrypt": frozenset("exporter".split()),
    "yaml": frozenset("exporter".split()),
    "platformdirs": frozenset("config".split()),
    "http_sf": frozenset("dialects explain".split()),
    "orjson": frozenset("runs observation simulator report".split()),
    "locust": frozenset(),
    "gevent": frozenset(),
}
"""Which modules may import a heavy or foreign library; numpy is anybody's."""
ANYBODYS = frozenset({"numpy"})

LOCUSTFILES_MAY = frozenset({"certifi", "locust", "gevent", "geventhttpclient", "msgpack", "flask", "orjson"})


def _sources(folder: str) -> list[Path]:
    return sorted(path for path in (ROOT / folder).rglob("*.py") if "__pycache__" not in path.parts)


def _noun(module: str) -> str:
    """`probes.cli.ask` -> `cli`; the package's own `__init__` -> ''."""
    return module.split(".")[1] if "." in module else ""


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def _imports(path: Path) -> tuple[tuple[int, str], ...]:
    """(line, dotted name) of every import that can run; those under `if TYPE_CHECKING` cannot."""
    return tuple(_imported(path))


def _imported(path: Path) -> Iterator[tuple[int, str]]:
    todo: list[ast.AST] = [_tree(path)]
    while todo:
        node = todo.pop()
        if _is_type_checking(node):
            continue
        todo.extend(child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.expr))  # no import stands in those
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute here"
            yield from ((node.lineno, name) for name in _targets(node))


def _targets(node: ast.ImportFrom) -> list[str]:
    module = node.module or ""
    if not _ours(module):
        return [module]
    # `from probes import client` imports the module probes.client, `from probes import __version__` the package alone
    return [_existing(f"{module}.{alias.name}") for alias in node.names]


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _layer(noun: str) -> tuple[str, int]:
    """A module's layer; one without is spoken of by `test_every_module_has_one_layer` alone."""
    return next(((name, number) for name, (number, nouns) in LAYERS.items() if noun in nouns), ("unknown", 0))


def _ours(name: str) -> bool:
    return name == "probes" or name.startswith("probes.")


def test_every_module_has_one_layer() -> None:
    """Every module of the package stands in the table, once, and the table names no word twice."""
    nouns = [noun for _, group in LAYERS.values() for noun in group]
    assert len(nouns) == len(set(nouns))
    found = {_noun(_module(path)) for path in _sources("probes")} - FOLDERS_OF_FILES - {""}
    assert sorted(found.difference(nouns)) == [], "add these modules to LAYERS, after the table of the design"
    assert sorted(set(nouns) - found - {"metrics", "exporter"}) == [], "these modules are gone: take them out of LAYERS"


@pytest.mark.untraced
def test_imports_go_down_only() -> None:
    """No module imports from a layer above its own, and layers that infer or tell import none that ask."""
    wrong = []
    for path in _sources("probes"):
        here = _noun(_module(path))
        if not here or here in FOLDERS_OF_FILES:
            continue
        layer, number = _layer(here)
        for line, name in _imports(path):
            there = _noun(name)
            if not _ours(name) or not there or there in FOLDERS_OF_FILES:
                continue
            other, other_number = _layer(there)
            forbidden = other in NEVER.get(layer, set()) and (here, other) not in EXCEPTIONS
            if other_number > number > 0 or forbidden:
                wrong.append(f"{path.relative_to(ROOT)}:{line}: {here} ({layer}) imports {name} ({other})")
    assert not wrong, "\n".join(wrong)


def test_no_import_cycle() -> None:
    """Modules imported when a module is loaded form no cycle, and neither do those imported later, inside functions."""
    graph = {_module(path): {_existing(name) for _, name in _imports(path) if _ours(name)} - {_module(path)} for path in _sources("probes")}
    graph.pop("probes")  # its only import is the lazy Limiter
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join((*trail[trail.index(module) :], module))
        if module in done:
            return
        for other in sorted(graph.get(module, ())):
            visit(other, (*trail, module))
        done.add(module)

    for module in sorted(graph):
        visit(module, ())


def _existing(name: str) -> str:
    """The module that `name` belongs to: `probes.x.y` where y is a function is `probes.x`."""
    path = ROOT / Path(*name.split("."))
    return name if path.is_dir() or path.with_suffix(".py").is_file() else name.rpartition(".")[0]


def test_foreign_libraries_have_owners() -> None:
    """A heavy library is imported by its owners only, and every foreign library that is imported has owners."""
    wrong = []
    for path in _sources("probes"):
        here = _noun(_module(path))
        for line, name in _imports(path):
            top = name.partition(".")[0]
            if _ours(name) or top in sys.stdlib_module_names or top in ANYBODYS:
                continue
            if top not in OWNERS:
                wrong.append(f"{path.relative_to(ROOT)}:{line}: {top} has no owner: add it to OWNERS in {Path(__file__).name}")
            elif here not in OWNERS[top]:
                wrong.append(f"{path.relative_to(ROOT)}:{line}: {top} belongs to {', '.join(sorted(OWNERS[top])) or 'nobody here'}")
    assert not wrong, "\n".join(wrong)


def test_dependencies_are_declared_and_used() -> None:
    """Every foreign library that the package imports is a dependency of its own, and no dependency is there for nothing."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {re.split(r"[<>=\[;]", word)[0].replace("-", "_") for word in project["dependencies"]}
    declared = {{"pyyaml": "yaml"}.get(name, name) for name in named}
    imported = {name.partition(".")[0] for path in _sources("probes") for _, name in _imports(path)} - sys.stdlib_module_names - {"probes"}
    assert sorted(imported - declared) == []
    # httpcore wants sniffio, Locust is started rather than imported, the metrics are the exporter's
    assert sorted(declared - imported - {"locust", "sniffio", "prometheus_client"}) == []


def test_locustfiles_know_words_and_known_only() -> None:
    """A locustfile lives in its own process: of ours it imports layers 1 and 2, besides the files beside it."""
    wrong = []
    beside = {path.stem for path in _sources("locustfiles")}
    for path in _sources("locustfiles"):
        for line, name in _imports(path):
            top = name.partition(".")[0]
            if _ours(name):
                if _noun(name) and _layer(_noun(name))[1] > 2:
                    wrong.append(f"{path.relative_to(ROOT)}:{line}: {name}")
            elif top not in sys.stdlib_module_names | LOCUSTFILES_MAY | beside | {"locustfiles"}:
                wrong.append(f"{path.relative_to(ROOT)}:{line}: {name}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.untraced
def test_systems_differ_in_one_module_only() -> None:
    """What Windows lacks or does otherwise is asked of `system`, and the time of `clock`: no other module uses what they stand for."""
    wrong = []
    for path in (*_sources("probes"), *_sources("locustfiles")):
        where = str(path.relative_to(ROOT))
        for node in ast.walk(_tree(path)):
            name = _dotted(node)
            if ANYWHERE_ELSE.get(name, where) != where:
                wrong.append(f"{where}:{getattr(node, 'lineno', '?')}: {name} belongs to {ANYWHERE_ELSE[name]}")
    assert not wrong, "\n".join(wrong)


def _dotted(node: ast.AST) -> str:
    """`os.kill`; `.add_reader` of anything that is no module; `pass_fds=` of a call."""
    if isinstance(node, ast.Attribute):
        return f"{node.value.id}.{node.attr}" if isinstance(node.value, ast.Name) and node.value.id in MODULES else f".{node.attr}"
    return f"{node.arg}=" if isinstance(node, ast.keyword) else ""


def test_modules_stay_short() -> None:
    """No module of the package, of the locustfiles or of the benches is longer than 300 lines."""
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for folder in ("probes", "locustfiles", "tests/bench")
        for path in _sources(folder)
    }
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


@pytest.mark.untraced
def test_every_test_states_a_fact() -> None:
    """Each test function has a docstring."""
    silent = [
        f"{path.name}:{node.lineno} {node.name}"
        for path in _sources("tests")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert not silent, "\n".join(silent)


HEAVY = ("httpx", "numpy", "matplotlib", "pydantic_settings", "pydantic", "scipy", "locust", "gevent", "starlette", "uvicorn", "jinja2")
LOADED = """
import sys
sys.argv = ["probes", *{words!r}]
from probes.cli import main
try:
    main()
except SystemExit:
    pass
print("LOADED", *sorted(set(sys.modules) & set({heavy!r})))
"""


@pytest.mark.parametrize("words", [["--help"], ["rate", "--help"]])
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    """`probes --help` imports none of the heavy libraries."""
    code = LOADED.format(words=words, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines()[-1:] == ["LOADED"], done.stderr


def test_the_package_itself_loads_nothing() -> None:
    """`import probes` imports no other module of ours, and neither does any import of the words load a foreign library."""
    code = "import sys, probes; print(*sorted(m for m in sys.modules if m.startswith('probes')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "probes"
