"""Serves the simulator until stopped, and says how to ask it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from probes.errors import RunFolderError
from probes.runs import Run
from probes.simulator.profiles import like as settings_like
from probes.simulator.profiles import profile as settings_of_profile
from probes.simulator.server import HOST, serve
from probes.simulator.settings import SimulatorSettings
from probes.simulator.settings_file import read_settings

EXAMPLE = """\
[instances.simulated]
url = "{url}"
token_env = "SIMULATOR_TOKEN"
allow_load = true
allow_writes = true
"""
TOLD = """\
A simulated Canvas ({name}) answers at {url}
Its token is {token}

Ask it:
  curl -s -D - -H 'Authorization: Bearer {token}' '{url}/api/v1/users/self'
What it saw: {url}/_simulator/state    Ctrl-C stops it.

As probes.toml, after: export SIMULATOR_TOKEN={token}

{example}"""


def do(profile: str | None, port: int, run: Path | None, file: Path | None, instance: str | None, *, quiet: bool = False) -> None:
    """Serves until a signal.

    Raises ConfigError for wrong settings, RunFolderError for a run without a bucket, ProbesError for a taken port.
    """
    settings = chosen(profile, run, file, instance)
    serve(settings, port, lambda taken: _tell(settings, taken, quiet=quiet))


def chosen(profile: str | None, run: Path | None, file: Path | None, instance: str | None = None) -> SimulatorSettings:
    """The settings: a profile, under the settings file, under the bucket of a run."""
    base = None if profile is None else settings_of_profile(profile)
    if file is not None:
        base = read_settings(file, base)
    settings = base or settings_of_profile("production")
    return settings if run is None else settings_like(bucket_of(run, instance), settings)


def bucket_of(folder: Path, instance: str | None = None) -> dict[str, Any]:
    """The bucket that the run in `folder` estimated, of `instance` or of the first that has one. Raises RunFolderError."""
    run = Run.open(folder)
    entries = run.manifest.get("rates") or _estimated(run)
    for entry in entries:
        if instance in (None, entry.get("instance")) and isinstance(entry.get("bucket"), dict):
            return dict(entry["bucket"])
    whose = "" if instance is None else f" of instance '{instance}'"
    raise RunFolderError(f"{folder} holds no estimated bucket{whose}: make one with 'probes rate', or choose a --profile.")


def _estimated(run: Run) -> list[dict[str, Any]]:
    """What a run that was killed before it noted its rates had measured by then."""
    from probes.rates import rate_documents

    return rate_documents(run.observations())


def _tell(settings: SimulatorSettings, port: int, *, quiet: bool) -> None:
    url = f"http://{HOST}:{port}"
    words = url if quiet else TOLD.format(name=settings.name, url=url, token=settings.token, example=EXAMPLE.format(url=url))
    sys.stdout.write(words.rstrip() + "\n")
    sys.stdout.flush()
