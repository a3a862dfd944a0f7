"""A run is one folder: `manifest.json`, append-only `observations.jsonl`, later its report. Readable after a kill at any moment."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from probes.config import Instance
from probes.errors import RunFolderError
from probes.observation import Observation, plain
from probes.system import appending, replace
from probes.tokens import redact

SCHEMA = "probes.run/1"
MANIFEST = "manifest.json"
OBSERVATIONS = "observations.jsonl"
TABLES = frozenset({"instances", "rates", "comparisons", "diagnosis", "plans", "loads", "findings"})
"""Facts of a manifest that are lists of tables; whatever else stands there is left out when a folder is opened."""


@dataclass(slots=True)
class Run:
    """An open run folder. `append` writes each observation at once, `finish` says how the run ended."""

    folder: Path
    manifest: dict[str, Any]
    origin_s: float | None = None
    unkept: str | None = None
    interrupt: KeyboardInterrupt | None = None
    """One that came when all was asked, and waits until it is told."""

    @classmethod
    def create(cls, out: Path, command: list[str], instances: Iterable[Instance]) -> Run:
        """A new folder below `out`. Raises RunFolderError when it cannot be written."""
        folder = out / _new_name(command)
        manifest = _first_manifest(command, instances)
        try:
            folder.mkdir(parents=True)
            (folder / OBSERVATIONS).touch()
            write_atomically(folder / MANIFEST, _manifest_text(manifest))
        except OSError as error:
            raise RunFolderError(f"{folder} cannot be written: {error.strerror}; choose another folder with --out.") from None
        return cls(folder, manifest)

    @classmethod
    def open(cls, folder: Path) -> Run:
        """The run in `folder`. Raises RunFolderError when it holds none."""
        try:
            if not folder.is_dir():
                raise RunFolderError(f"{folder} is not a run folder: there is no such folder.")
            if not (folder / OBSERVATIONS).is_file():
                raise RunFolderError(f"{folder} is not a run folder: it has no {OBSERVATIONS}.")
        except OSError as error:
            raise RunFolderError(f"{folder} cannot be read: {error.strerror}.") from None
        return cls(folder, _manifest_of(folder))

    @property
    def place(self) -> str:
        """The folder as documents and commands to copy have it: with slashes, which all systems, shells and languages take."""
        return self.folder.as_posix()

    @property
    def started_at(self) -> str | None:
        """When the run started, UTC, ISO 8601; None where its manifest does not say."""
        return utc(self.manifest.get("started_at"))

    def append(self, observation: Observation) -> None:
        """Writes one line, whole and at once, so that a kill loses at most the line being written.

        Raises RunFolderError when it cannot be written.
        """
        self.append_lines([observation.line()])

    def append_lines(self, lines: Iterable[str]) -> None:
        """Writes ready lines in one system call; several processes may append to one file."""
        data = redact("".join(lines)).encode()
        try:
            handle = appending(self.folder / OBSERVATIONS)
            try:
                while data:
                    data = data[os.write(handle, data) :]
            finally:
                os.close(handle)
        except OSError as error:
            raise RunFolderError(f"{self.folder / OBSERVATIONS} cannot be written: {error.strerror}.") from None

    def observations(self) -> Iterator[Observation]:
        """The observations in the order of their lines; a broken line (the last, after a kill) is left out."""
        for _, observation in self.numbered():
            yield observation

    def numbered(self) -> Iterator[tuple[int, Observation]]:
        """(line number from 1, observation), broken lines left out."""
        try:
            with (self.folder / OBSERVATIONS).open("rb") as file:
                for number, line in enumerate(file, 1):
                    observation = _observation(line)
                    if observation is not None:
                        yield number, observation
        except OSError as error:
            raise RunFolderError(f"{self.folder / OBSERVATIONS} cannot be read: {error.strerror}.") from None

    def note(self, **facts: Any) -> None:
        """Adds facts to the manifest: estimates, plans, notes for the report. Raises RunFolderError when it cannot be written."""
        self.manifest.update(facts)
        try:
            write_atomically(self.folder / MANIFEST, _manifest_text(self.manifest))
        except OSError as error:
            raise RunFolderError(f"{self.folder / MANIFEST} cannot be written: {error.strerror}.") from None

    def keep(self, **facts: Any) -> None:
        """As `note`, when all is measured: what cannot be written is said in `unkept`, so that the answer can still be told."""
        try:
            self.note(**facts)
        except RunFolderError as error:
            self.unkept = self.unkept or str(error)

    def finish(self, ended: str, **facts: Any) -> None:
        """Says how the run ended: `done`, `interrupted`, `guard: ...`, `failed: ...`; as `keep` where it cannot be written."""
        self.keep(ended=ended, ended_at=_now(), **facts)


def utc(value: Any) -> str | None:
    """`value` as a point of time in UTC, ISO 8601; None where it is none, names no zone, or lies where no run can have been."""
    try:
        when = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    if when.tzinfo is None or not 1970 < when.year < 9999:
        return None
    return when.astimezone(UTC).isoformat(timespec="milliseconds")


def write_atomically(path: Path, text: str) -> None:
    """Writes `path` so that a reader sees the old text or the new, never half of one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8", newline="\n")
        replace(draft, path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def described(instance: Instance) -> dict[str, Any]:
    """An instance as the manifest tells it: without its token."""
    return {
        "name": instance.name,
        "url": instance.url,
        "kind": instance.kind.value,
        "dialect": instance.dialect,
        "max_rate": instance.max_rate,
        "max_in_flight": instance.max_in_flight,
        "max_requests": instance.max_requests,
        "allow_load": instance.allow_load,
        "allow_writes": instance.allow_writes,
    }


def _first_manifest(command: list[str], instances: Iterable[Instance]) -> dict[str, Any]:
    from probes import __version__

    return {
        "schema": SCHEMA,
        "tool": f"canvas-probes {__version__}",
        "command": command,
        "started_at": _now(),
        "instances": [described(instance) for instance in instances],
        "ended": None,
    }


def _manifest_text(manifest: dict[str, Any]) -> str:
    # a word of the command, or an answer that a finding quotes, may hold a token
    return redact(json.dumps(plain(manifest), indent=2, allow_nan=False)) + "\n"


def _manifest_of(folder: Path) -> dict[str, Any]:
    unknown: dict[str, Any] = {"schema": SCHEMA, "command": [], "instances": [], "ended": None}
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return unknown
    if not isinstance(manifest, dict):
        return unknown
    for key in TABLES & set(manifest):
        if isinstance(manifest[key], list):
            manifest[key] = [entry for entry in manifest[key] if isinstance(entry, dict)]
        else:
            del manifest[key]
    return {**unknown, **manifest}


def _observation(line: bytes) -> Observation | None:
    if not line.endswith(b"\n"):
        return None
    try:
        return Observation.from_line(line)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _new_name(command: list[str]) -> str:
    word = command[0] if command else "run"
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{word}-{secrets.token_hex(2)}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
