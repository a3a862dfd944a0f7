"""What an outside package may add (a dialect, a scenario) beside what is built in: each a module here, or an entry point of a group."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

Kind = TypeVar("Kind")


@dataclass(frozen=True)
class Extensions(Generic[Kind]):
    """Things of one kind by name: `built_in` ones are `attribute` of a module of that name in the package `group`."""

    group: str
    attribute: str
    kind: type[Kind]
    built_in: tuple[str, ...]

    def outside(self) -> list[str]:
        """Names of those that outside packages add, in order."""
        return sorted(point.name for point in self._points())

    def find(self, name: str) -> Kind | None:
        """The one of that name; None when there is none. What an outside package offers is taken as it is."""
        if name in self.built_in:
            found = getattr(import_module(f"{self.group}.{name}"), self.attribute)
            assert isinstance(found, self.kind)
            return found
        return next((point.load() for point in self._points() if point.name == name), None)

    def _points(self) -> list[EntryPoint]:
        return list(entry_points(group=self.group))
