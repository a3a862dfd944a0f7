"""The command line: words and options only. Each command hands over to one module of `probes.jobs`, imported when it runs."""

from __future__ import annotations

import signal
import sys

import typer

from probes.cli import ask, demo, export, listing, load, rate, simulate, tell

app = typer.Typer(
    name="probes", no_args_is_help=True, pretty_exceptions_enable=False, help="How fast may my Canvas job go, and what slows it?"
)
for module in (demo, ask, rate, load, listing, tell, export, simulate):
    module.register(app)


def main() -> None:
    """Runs the command line; an error becomes one sentence on stderr and its exit code; Ctrl-C becomes 130, and so does SIGTERM."""
    from probes.errors import ExitCode, ProbesError

    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # behind '&' in a script; SIGTERM becomes SIGINT and must end it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))  # what was measured is kept, as after Ctrl-C
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
    except OSError as error:
        from probes.cli.options import drop_output

        drop_output()
        about = f" ({error.filename})" if error.filename else ""
        print(f"probes: It could not be done: {error.strerror or error}{about}.", file=sys.stderr)
        raise SystemExit(int(ExitCode.FAILED)) from None
