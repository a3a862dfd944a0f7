"""`probes fetch`: the items of a list, one a line, every page, paced by the limiter; what was asked is kept in a run folder."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from probes.addresses import origin, target, without_secrets
from probes.config import Instance
from probes.errors import CredentialsError, GuardStop, ProbesError, RunFolderError, UsageError
from probes.jobs.session import Halt, Settings, client_for, cut_short, how_ended, open_run, reckoning, run_until, write_report
from probes.jobs.terminal import Bar, answers_to, json_line, progress
from probes.observation import Outcome
from probes.runs import Run
from probes.tokens import redact
from probes.wording import heard, quoted

if TYPE_CHECKING:
    from probes.limiter import Limiter

SCHEMA = "probes.fetch/1"
REFUSALS = 3
"""So often a refused page is asked again, after the server's wait: another job may share the token."""

PLACES = frozenset({"page", "bookmark", "offset", "cursor"})
"""Parameters that say where in a list a page stands: a page in the middle is asked for as the link to it was written."""

ENOUGH = "Whoever read the lines had enough."


@dataclass(slots=True)
class Fetched:
    """What a fetch brought; `ended` is the word of pages.Ended, `items` is kept only where a whole document is wanted.

    `empty` counts pages without items that named a next one; `next` is the path of the page to go on with, None where all was read.
    """

    run: str
    path: str
    items: list[Any] = field(default_factory=list)
    count: int = 0
    repeated: int = 0
    empty: int = 0
    pages: int = 0
    ended: str = "failed"
    note: str | None = None
    outcome: Outcome = Outcome.OK
    next: str | None = None
    stopped: GuardStop | Halt | None = None
    unkept: str | None = None

    def document(self) -> dict[str, Any]:
        """`probes.fetch/1`."""
        return {
            "schema": SCHEMA,
            "run": self.run,
            "path": without_secrets(self.path),
            "pages": self.pages,
            "count": self.count,
            "complete": self.ended == "complete",
            "ended": self.ended,
            "note": self.note,
            "next": None if self.next is None else without_secrets(self.next),
            "items": self.items,
        }


def fetch(settings: Settings, path: str, name: str, *, every_page: bool, line: Callable[[str], None]) -> Fetched:
    """Hands each item of the list at `path` to `line` as JSON as its page arrives; with --json the items are kept for the document instead.

    Raises UsageError, ConfigError, RunFolderError before there is a folder. An incomplete list does not raise: see `end`.
    """
    instance, path = one_instance(settings, name), heard(path)
    asked = _sized(own_path(path, instance), instance, settings) if every_page else own_path(path, instance)
    with open_run(settings, ["fetch", without_secrets(asked)], [instance]) as folder:
        fetched = Fetched(folder.place, asked, next=asked)
        try:
            with _bar(settings, fetched) as bar:
                stop, halt = run_until(settings, folder, _walked(fetched, instance, folder, every_page, settings, line, bar), None)
            _stopped(fetched, halt or stop)
        except KeyboardInterrupt as interrupt:
            _stopped(fetched, interrupt)
            raise
        finally:
            if isinstance(fetched.stopped, GuardStop | KeyboardInterrupt):
                settings.say(f"{_got(fetched)}.{_go_on(settings, fetched, instance.name)}")
            folder.keep(fetched={key: value for key, value in fetched.document().items() if key != "items"})
        folder.finish(how_ended(fetched.stopped or _refused(fetched)))
        with reckoning(settings, folder):
            write_report(folder)
        fetched.stopped = fetched.stopped or folder.interrupt
        fetched.unkept = folder.unkept
    return fetched


def _stopped(fetched: Fetched, stop: GuardStop | Halt | None) -> None:
    """Notes what ended it before the list did."""
    if stop is not None:
        fetched.ended = "interrupted" if isinstance(stop, KeyboardInterrupt) else "failed"
        fetched.stopped, fetched.note = stop, cut_short(stop)


def end(settings: Settings, fetched: Fetched, name: str = "") -> None:
    """Says how it ended, for the instance that was named `name`.

    Raises CredentialsError or ProbesError when the list is not whole: the guard or the interrupt that ended it.
    """
    if isinstance(fetched.stopped, GuardStop | KeyboardInterrupt):
        raise fetched.stopped
    if (refused := _refused(fetched)) is not None:
        raise refused
    got = _got(fetched)
    if fetched.ended not in ("complete", "limit"):
        go_on = _go_on(settings, fetched, name)
        raise ProbesError(f"The list is not whole: {got}. {fetched.note} Calls are kept in {fetched.run}.{go_on}")
    if fetched.unkept is not None:
        raise RunFolderError(f"{got}. {fetched.unkept}")
    said = "" if fetched.note is None else f" {fetched.note}"
    more = said if fetched.ended == "complete" else f" {ENOUGH}" if fetched.note == ENOUGH else " There are more pages: add --all."
    settings.say(f"{got}.{more} Calls are kept in {fetched.run}.")


def _refused(fetched: Fetched) -> CredentialsError | None:
    """The error of a list of which the first page already was refused for the credentials."""
    if fetched.ended != "failed" or fetched.count or fetched.outcome is not Outcome.UNAUTHORIZED:
        return None
    return CredentialsError("Every call was refused for its credentials (401): check the token; probes diagnose says more.")


def _got(fetched: Fetched) -> str:
    return f"{_counted(fetched.count, 'item')} from {_counted(fetched.pages, 'page')}{_empty(fetched.empty)}{_left_out(fetched.repeated)}"


def _go_on(settings: Settings, fetched: Fetched, name: str) -> str:
    """The command that reads the rest; nothing where no page was read, or its path holds what must not be told."""
    if fetched.count == 0 or fetched.next is None or fetched.next != without_secrets(fetched.next):
        return ""
    instance = f" -i {quoted(name)}" if name else ""
    config = f" --config {quoted(settings.config.as_posix())}" if settings.config else ""
    return f"\nGo on with: probes fetch {quoted(fetched.next)}{instance}{config} --all"


def _empty(count: int) -> str:
    return "" if count == 0 else f" ({count} of them empty, though more followed)"


def _left_out(repeated: int) -> str:
    return "" if repeated == 0 else f", {repeated} more left out, as {'it' if repeated == 1 else 'they'} had come before"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def one_instance(settings: Settings, name: str) -> Instance:
    """The instance of that name; the only one configured when `name` is empty. Raises UsageError or ConfigError."""
    found = settings.load().pick([name] if name else [])
    if len(found) > 1:
        raise UsageError(f"Which instance? Give -i with one of {', '.join(one.name for one in found)}.")
    return found[0]


def own_path(path: str, instance: Instance) -> str:
    """`path` as the instance is asked for it: a whole URL must be the instance's own, a bare word gets /api/v1/ before it.

    Raises UsageError.
    """
    if not path.strip():
        raise UsageError("Which list? Give a path, as /api/v1/courses.")
    if "://" in path:
        if origin(path) != origin(instance.url):
            raise UsageError(f"{without_secrets(path)} is not on {instance.url}: only the configured instance is asked, with its token.")
        return target(path)
    if path.startswith("/"):
        return path
    if instance.dialect != "canvas":
        raise UsageError(f"'{without_secrets(path)}' is not a path: it must begin with /.")
    return "/" + path if path.startswith("api/") else "/api/v1/" + path


def _sized(path: str, instance: Instance, settings: Settings) -> str:
    """`path` with the greatest page size where it names none, nor a page: a tenth of the calls."""
    from probes.dialects import dialect

    size = dialect(instance.dialect).page_size
    if size is None or any(key == size or key in PLACES for key, _ in parse_qsl(urlsplit(path).query, keep_blank_values=True)):
        return path
    settings.say(f"Asking for {size}=100, as the path names none.")
    return path + ("&" if "?" in path else "?") + f"{size}=100"


async def _walked(
    fetched: Fetched, instance: Instance, folder: Run, every_page: bool, settings: Settings, line: Callable[[str], None], bar: Bar
) -> GuardStop | None:
    """Walks the list into `fetched`; the guard that stopped it, if one did."""
    from probes.pages import walk

    watch = answers_to(bar, lambda: f"{fetched.count} items")
    async with client_for(instance, folder, limiter_of(instance), watch) as client:
        if client.proxy:
            settings.say(f"Asking through the proxy {client.proxy}, as the environment says.")
        try:
            async for page in walk(client, fetched.path, scenario="fetch", limit=None if every_page else 1, refusals=REFUSALS):
                fetched.pages = page.number
                fetched.count += len(page.items)
                fetched.repeated += page.repeated
                fetched.empty += not page.items and not page.repeated and page.ended is None
                fetched.next = page.next
                if settings.as_json:
                    fetched.items += page.items
                elif not _handed_out(page.items, line):
                    fetched.ended, fetched.note, fetched.next = "limit", ENOUGH, page.answer.observation.path
                    return None
                if page.ended is not None:
                    fetched.ended, fetched.note, fetched.outcome = page.ended.value, page.note, page.answer.observation.outcome
        except GuardStop as stop:
            return stop
    return None


def _handed_out(items: list[Any], line: Callable[[str], None]) -> bool:
    """Hands the items out as lines; False when the reader went away, as `head` does."""
    try:
        for item in items:
            line(redact(json_line(item)))
    except BrokenPipeError:
        return False
    return True


def limiter_of(instance: Instance) -> Limiter | None:
    """The limiter that a bulk read goes through: Canvas's own bucket; None for a dialect whose budget is no bucket."""
    from probes.limiter import Limiter

    return Limiter.canvas() if instance.dialect == "canvas" else None


def _bar(settings: Settings, fetched: Fetched) -> AbstractContextManager[Bar]:
    """A bar over pages; none where the items themselves run down the same terminal."""
    items_shown = sys.stdout.isatty() and not settings.as_json
    return progress(replace(settings, quiet=settings.quiet or items_shown), f"pages of {fetched.path}", None)
