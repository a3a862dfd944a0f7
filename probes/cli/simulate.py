"""The command `simulate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from probes.cli.options import Quiet

ProfileName = Annotated[str | None, typer.Option("--profile", metavar="NAME", help="production (default), test, beta or sandbox.")]
Port = Annotated[int, typer.Option("--port", metavar="N", min=0, max=65535, help="Port on 127.0.0.1; 0 takes any free one.")]
Like = Annotated[Path | None, typer.Option("--like", metavar="RUN", help="Take the bucket that this run estimated.")]
SettingsFile = Annotated[Path | None, typer.Option("--settings", metavar="FILE", help="TOML file that changes any setting.")]
InstanceName = Annotated[str | None, typer.Option("-i", "--instance", metavar="NAME", help="Which instance of the run, if it has several.")]


def register(app: typer.Typer) -> None:
    """Adds this module's commands to `app`."""

    @app.command()
    def simulate(
        profile: ProfileName = None,
        port: Port = 8765,
        like: Like = None,
        settings: SettingsFile = None,
        instance: InstanceName = None,
        quiet: Quiet = False,
    ) -> None:
        """Serve a simulated Canvas on 127.0.0.1 until stopped."""
        from probes.jobs import simulate as job

        job.do(profile, port, like, settings, instance, quiet=quiet)
