"""The command line: words and options only. Each command hands over to one module of `probes.jobs`, imported when it runs."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from probes import __version__
from probes.cli import ask, demo, export, listing, load, rate, simulate, tell
from probes.system import interrupt


def _say_version(asked: bool) -> None:  # typer calls it so
    if asked:
        print(f"canvas-probes {__version__}")
        raise typer.Exit


AFTER_THE_NAME = frozenset({"--config", "--out", "--json", "--quiet", "--fail-on", "-i", "--instance"})
"""Options that are common, but each command's own: written before its name they are none."""


LAST_STANDARD = 2
"""The number of stderr."""


class Commands(TyperGroup):
    """The commands; who writes a common option before the name of one is told where it belongs."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As typer does. Raises UsageError for a common option at the front."""
        first = args[0].partition("=")[0] if args else ""
        if first in AFTER_THE_NAME and not ctx.resilient_parsing:
            from probes.errors import UsageError

            name = next((word for word in args if word in self.commands), "list")
            raise UsageError(f"{first} follows the command's name: probes {name} {first}")
        return super().parse_args(ctx, args)


app = typer.Typer(
    name="probes",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(help="How fast may my Canvas job go, and what slows it?")
def _before(
    version: Annotated[bool, typer.Option("--version", is_eager=True, callback=_say_version, help="Which version this is.")] = False,
) -> None:
    pass


for module in (demo, ask, rate, load, listing, tell, export, simulate):
    module.register(app)


def heed_signals() -> None:
    """SIGINT and SIGTERM end a command, wherever they meet it, and what was measured is kept."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # behind '&' in a script; SIGTERM becomes SIGINT and must end it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    sys.unraisablehook = _once_more


def _once_more(told: sys.UnraisableHookArgs) -> None:
    """Ctrl-C that met code which can raise nothing, as a library's import in C, would be printed and lost: it comes again soon."""
    if not issubclass(told.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(told)
        return
    again = threading.Timer(0.05, interrupt)
    again.daemon = True
    again.start()


def stand_in_for_closed_streams() -> None:
    """A stream that was closed before the start, as by `2>&-`, is the null device, and its number no file's.

    Python has None there, and prints what is meant for None on stdout: talk would stand in the middle of a document.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= LAST_STANDARD:
        pass
    os.close(number)
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 # only to read: writing fails, which is said
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 # for as long as the process lives


def speak_utf8() -> None:
    """What goes to a file or to another program is UTF-8, as JSON must be (RFC 8259); Windows would take a code page of old.

    PYTHONIOENCODING has the last word.
    """
    if isinstance(sys.stdout, io.TextIOWrapper) and not sys.stdout.isatty() and "PYTHONIOENCODING" not in os.environ:
        sys.stdout.reconfigure(encoding="utf-8", errors=sys.stdout.errors)


def leave_out_what_nobody_asks_for() -> None:
    """Of httpx its own command line, whose libraries take a third of the time that httpx takes to start.

    It finds them missing, as where they are not installed.
    """
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type] # an import of it then fails, by the language's own rule


def main() -> None:
    """Runs the command line; an error becomes one sentence on stderr and its exit code; Ctrl-C becomes 130, and so does SIGTERM."""
    from probes.errors import ExitCode, ProbesError

    stand_in_for_closed_streams()
    speak_utf8()
    heed_signals()
    leave_out_what_nobody_asks_for()
    try:
        app()
    except ProbesError as error:
        from probes.tokens import redact

        print(f"probes: {redact(str(error))}", file=sys.stderr)
        raise SystemExit(int(error.exit_code)) from None
    except KeyboardInterrupt:
        raise SystemExit(int(ExitCode.INTERRUPTED)) from None
    except BrokenPipeError:
        raise SystemExit(int(ExitCode.DONE)) from None
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # typer and rich, who print the help, call that a failure
            raise SystemExit(int(ExitCode.DONE)) from None
        raise
    except OSError as error:
        from probes.cli.options import drop_output

        drop_output()
        about = f" ({error.filename})" if error.filename else ""
        why = "stdout is closed" if isinstance(error, io.UnsupportedOperation) else error.strerror or error
        print(f"probes: It could not be done: {why}{about}.", file=sys.stderr)
        raise SystemExit(int(ExitCode.FAILED)) from None
