"""YAML tables, read strictly: a key that is not known, that stands twice, or a value of another kind is one sentence that names it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from probes.config import refuse_unknown_keys
from probes.errors import ConfigError
from probes.system import text_of


class _Loader(yaml.SafeLoader):
    """YAML in which a key may stand once only."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping. Raises yaml.MarkedYAMLError for a key that stands twice."""
        seen = set()
        for key, _ in node.value:
            word = str(key.value)
            if word in seen:
                raise yaml.MarkedYAMLError(problem=f"'{word}' stands twice", problem_mark=key.start_mark)
            seen.add(word)
        return super().construct_mapping(node, deep)


def document(path: Path) -> Any:
    """What the YAML file at `path` holds; an empty one is an empty mapping. Raises ConfigError."""
    try:
        text = text_of(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text.") from None
    try:
        found = yaml.load(text, _Loader)  # noqa: S506 # a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f" in line {error.problem_mark.line + 1}"
        raise ConfigError(f"{path} is not valid YAML: {error.problem or error.context}{line}.") from None
    except (yaml.YAMLError, RecursionError, ValueError):
        raise ConfigError(f"{path} is not valid YAML: it holds characters or nesting that YAML does not allow.") from None
    return {} if found is None else found


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping of the file at `path`; `prefix` is where it stands, `known` its keys (None: any text).

    Making it and every reader raise ConfigError with one sentence that says where, and what it must be.
    """

    path: Path
    prefix: str
    values: Any
    known: Collection[str] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.values, dict):
            raise self.wrong("", "a mapping of keys to values")
        for key in self.values:
            if not isinstance(key, str):
                raise ConfigError(f"{self.path}: {self.prefix}{key} must be text: write it in quotes.")
            if self.known is not None:
                refuse_unknown_keys([key], self.known, str(self.path), self.prefix)

    def wrong(self, key: str, must: str) -> ConfigError:
        """The sentence that what stands at `key` must be something else; the value itself, which may be a secret, is not told."""
        where = f"{self.prefix}{key}".rstrip(".")
        return ConfigError(f"{self.path}: {where} must be {must}." if where else f"{self.path} must be {must}.")

    def table(self, key: str, known: Collection[str] | None = None) -> Table:
        """A mapping below; one that is missing or empty has no keys."""
        values = self.values.get(key)
        return Table(self.path, f"{self.prefix}{key}.", {} if values is None else values, known)

    def text(self, key: str, allowed: Collection[str] = ()) -> str | None:
        """Text, one of `allowed` where there are any; None when it is missing or empty."""
        value = self.values.get(key)
        if value is None or value == "":
            return None
        if not isinstance(value, str) or (allowed and value not in allowed):
            raise self.wrong(key, f"one of {', '.join(allowed)}" if allowed else "text")
        return value

    def file(self, key: str) -> Path | None:
        """A path, from the folder of the file."""
        text = self.text(key)
        return None if text is None else self.path.parent / text

    def flag(self, key: str, *, default: bool) -> bool:
        """True or false."""
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, "true or false")
        return value

    def count(self, key: str) -> int:
        """A whole number from 0; 0 when it is missing."""
        value = self.values.get(key, 0)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self.wrong(key, "a whole number, 0 or more")
        return value

    def texts(self, key: str, allowed: Collection[str] = ()) -> tuple[str, ...]:
        """A list of text, each one of `allowed` where there are any; empty when it is missing."""
        values = self.values.get(key)
        listed = [] if values is None else values
        if not isinstance(listed, list) or not all(isinstance(one, str) and (not allowed or one in allowed) for one in listed):
            raise self.wrong(key, f"a list of {', '.join(allowed)}" if allowed else "a list of text")
        return tuple(listed)
