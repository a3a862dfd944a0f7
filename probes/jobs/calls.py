"""The calls of a command: `--call` words and a calls file together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from probes.calls import Call, parse, parse_lines
from probes.config import Instance
from probes.errors import UsageError


def calls_of(words: Sequence[str], file: Path | None) -> tuple[Call, ...]:
    """The calls of `words` and of `file`. Raises UsageError for what is no call, and for an unreadable file."""
    calls = [parse(word) for word in words]
    if file is not None:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            raise UsageError(f"{file} cannot be read: {reason}.") from None
        calls += parse_lines(lines, str(file))
    return tuple(calls)


def one_instance(instances: Sequence[Instance], command: str) -> Instance:
    """The only one. Raises UsageError when there are several or none."""
    if len(instances) != 1:
        raise UsageError(f"'probes {command}' asks one instance, not {len(instances)}: say -i NAME once.")
    return instances[0]
