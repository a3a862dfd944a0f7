"""What a person sees in a terminal: progress bars on stderr, tables of at most 80 columns. rich is imported when first used.

Progress shows on a terminal only, never with `--quiet`; NO_COLOR and TERM=dumb are honoured (https://no-color.org).
"""

from __future__ import annotations

import codecs
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rich.progress import ProgressColumn

    from probes.client import Client
    from probes.config import Instance
    from probes.jobs.session import Settings
    from probes.observation import Observation
    from probes.runs import Run

WIDEST = 80


class Bar(Protocol):
    """A progress bar at work."""

    def advance(self, n: float = 1, text: str = "") -> None:
        """`n` more are done; `text` stands beside the bar until the next one: what is left of the budget, the rate, the instance."""


class _Silent:
    """The bar where nobody watches."""

    def advance(self, n: float = 1, text: str = "") -> None:
        """Nothing."""


class _Shown:
    """A bar on a terminal."""

    def __init__(self, progress: Any, task: Any) -> None:
        self._progress = progress
        self._task = task

    def advance(self, n: float = 1, text: str = "") -> None:
        """Moves the bar."""
        changes = {"text": text} if text else {}
        self._progress.update(self._task, advance=n, **changes)


def watched(settings: Settings) -> bool:
    """Whether a person watches stderr: a terminal that can move its cursor, and no --quiet."""
    return not settings.quiet and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


@contextmanager
def progress(settings: Settings, title: str, total: float | None) -> Iterator[Bar]:
    """A bar on stderr for the time of the block: title, done of `total` (None: unknown), rate, time left, the last text.

    Silent where nobody watches. The line is taken away at the end, so that what follows on stderr stands alone.
    """
    if not watched(settings):
        yield _Silent()
        return
    from rich.console import Console
    from rich.progress import Progress

    # data on stdout stays there: rich would print it on the bar's own console
    console = Console(stderr=True, highlight=False)
    with Progress(*_columns(), console=console, transient=True, redirect_stdout=False) as shown:
        yield _Shown(shown, shown.add_task(title, total=total, text=""))


def answers_to(bar: Bar, words: Callable[[], str] = lambda: "") -> Callable[[Observation], None]:
    """What a client is given as `on_answer` so that each answer moves `bar`, with `words` and what remains of the instance's budget."""

    def seen(observation: Observation) -> None:
        left = None if observation.remaining is None else f"{observation.instance} remaining {observation.remaining:.0f}"
        bar.advance(1, ", ".join(part for part in (words(), left) if part))

    return seen


def clients_watched_by(bar: Bar) -> Callable[[Instance, Run], Client]:
    """Makes the clients of a run whose answers move `bar`."""
    from probes.jobs.session import client_for

    return partial(client_for, on_answer=answers_to(bar))


def _columns() -> list[ProgressColumn]:
    from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        """Done per second, as measured lately."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:.3g}/s", style="progress.data.speed")

    title = TextColumn("{task.description}", markup=False)
    text = TextColumn("{task.fields[text]}", markup=False)
    return [title, BarColumn(bar_width=20), MofNCompleteColumn(), Rate(), TimeRemainingColumn(compact=True), text]


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table as plain text, at most 80 columns wide; numbers stand right, None is a dash, long words are folded, nothing is left out."""
    from rich.box import Box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # ASCII throughout: a table goes into files and terminals of any encoding
    box = Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
    shown = Table(box=box, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for index, column in enumerate(columns):
        numeric = bool(rows) and all(_is_number(row[index]) for row in rows)
        shown.add_column(Text(str(column)), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(Text(_cell(value)) for value in row))
    console = Console(file=io.StringIO(), width=WIDEST, force_terminal=False, no_color=True, highlight=False, legacy_windows=False)
    console.print(shown)
    assert isinstance(console.file, io.StringIO)
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    return "\n".join([*([title, ""] if title else []), *lines])


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return value.replace(",", "").replace(".", "", 1).lstrip("-").isdigit()
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    # what a server said must not move the cursor or change colours
    return "".join(character if character.isprintable() else " " for character in " ".join(str(value).split()))


def json_line(document: Any) -> str:
    """`document` as JSON on one line: letters beyond ASCII where stdout is UTF-8, else, and for half an emoji, JSON's own escapes."""
    encoding = codecs.lookup(sys.stdout.encoding or "utf-8").name
    text = json.dumps(document, ensure_ascii=encoding != "utf-8")
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return json.dumps(document)
    return text
