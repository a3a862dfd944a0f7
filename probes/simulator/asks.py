"""One request as a handler sees it, and the table of routes that finds the handler."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import orjson

from probes.simulator import replies
from probes.simulator.paging import InvalidPageError, Sizes, id_in, page
from probes.simulator.people import Course, Person
from probes.simulator.replies import Reply, StopError
from probes.simulator.school import FORBIDDEN_COURSE_ID, School
from probes.simulator.settings import Fault
from probes.simulator.world import World

Handler = Callable[["Ask"], Reply]
SIZES = Sizes()
NEW_ID = 9_000_000


@dataclass(slots=True)
class Ask:
    """One request. `ids` are the route's parameters, `body` its form or JSON, `items` how many items its page held.

    `marks`: what its handler adds to X-Canvas-Meta.
    """

    world: World
    method: str
    path: str
    query: str
    base_url: str
    ids: dict[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    raw_body: bytes = b""
    person: Person | None = None
    faults: dict[str, Fault] = field(default_factory=dict)
    items: int = 0
    entered_s: float = 0.0
    marks: list[str] = field(default_factory=list)

    @property
    def school(self) -> School:
        """The instance's records."""
        return self.world.school

    @property
    def asker(self) -> Person:
        """The user of the token."""
        assert self.person is not None
        return self.person

    def one(self, name: str) -> str | None:
        """The last value of a query parameter."""
        return next((v for k, v in reversed(parse_qsl(self.query, keep_blank_values=True)) if k == name), None)

    def all(self, name: str) -> list[str]:
        """All values of `name` and `name[]`."""
        return [v for k, v in parse_qsl(self.query, keep_blank_values=True) if k in (name, f"{name}[]")]

    def number(self, name: str = "id") -> int:
        """A route parameter as an id; a missing record's answer when it is none."""
        found = id_in(self.ids[name])
        if found is None:
            raise StopError(replies.missing())
        return found

    def form(self, scope: str) -> dict[str, Any]:
        """The parameters below `scope`: of a JSON body `{scope: {...}}`, of a form or a query `scope[name]=...`."""
        try:
            document = orjson.loads(self.raw_body) if self.raw_body else {}
            pairs = parse_qsl(self.query, keep_blank_values=True)
        except orjson.JSONDecodeError:
            document = {}
            pairs = parse_qsl(self.raw_body.decode("utf-8", "replace"), keep_blank_values=True)
        inner = document.get(scope, {}) if isinstance(document, dict) else {}
        found = dict(inner) if isinstance(inner, dict) else {}
        found.update({k[len(scope) + 1 : -1]: v for k, v in pairs if k.startswith(f"{scope}[") and k.endswith("]")})
        return found

    def word(self, name: str) -> str | None:
        """A plain parameter of the query, or else of the body."""
        value = self.one(name)
        if value is not None or not self.raw_body:
            return value
        try:
            document = orjson.loads(self.raw_body)
            return None if not isinstance(document, dict) or document.get(name) is None else str(document[name])
        except orjson.JSONDecodeError:
            return dict(parse_qsl(self.raw_body.decode("utf-8", "replace"))).get(name)

    def course(self) -> Course:
        """The course of the route; ends the request when there is none, or when the token may not see it."""
        record = self.school.courses.get(self.number())
        if record is None or record.state == "deleted":
            raise StopError(replies.missing())
        if record.id == FORBIDDEN_COURSE_ID:
            raise StopError(replies.unpermitted(self.world.settings.permission_status))
        return record

    def some_person(self, text: str) -> Person:
        """The user of that id, or self; ends the request when there is none."""
        if text == "self":
            return self.asker
        found = self.school.people.get(id_in(text) or 0)
        if found is None:
            raise StopError(replies.missing())
        return found

    def page(
        self, items: Sequence[Any], tell: Callable[[Any], Any] | None = None, sizes: Sizes = SIZES, envelope: str | None = None
    ) -> Reply:
        """One page of `items`; `tell` makes documents of those on the page only. Bookmarked lists are in the order of ids."""
        items = self._disturbed(items)
        try:
            found = page(items, self.query, sizes, self.world.settings.max_per_page)
        except InvalidPageError:
            return replies.missing()
        documents = [tell(item) if tell is not None and not _made_up(item) else item for item in found.items]
        self.items = len(documents)
        reply = replies.as_json({envelope: documents} if envelope else documents)
        reply.headers["link"] = found.link(self.base_url + self.path, self.query)
        return reply

    def _disturbed(self, items: Sequence[Any]) -> Sequence[Any]:
        """`items` after what added_items and removed_items did to this list so far."""
        counts = self.world.extra_items
        if "removed_items" in self.faults:
            items = items[counts[f"removed {self.path}"] :]
            counts[f"removed {self.path}"] += int(self.faults["removed_items"].number or 1)
        if "added_items" in self.faults:
            made_up = [{"id": NEW_ID + place, "name": f"New {place}"} for place in range(counts[f"added {self.path}"])]
            counts[f"added {self.path}"] += int(self.faults["added_items"].number or 1)
            items = [*reversed(made_up), *items]
        return items


def _made_up(item: Any) -> bool:
    return isinstance(item, dict) and set(item) == {"id", "name"} and item["id"] >= NEW_ID


@dataclass(frozen=True, slots=True)
class Route:
    """One route: its name is its method and pattern. `open`: without credentials; `is_list`: slower than a single record."""

    method: str
    pattern: str
    handler: Handler
    is_list: bool = False
    open: bool = False

    @property
    def name(self) -> str:
        """How services and counts call it."""
        return f"{self.method} {self.pattern}"


class Routes:
    """All routes, found by method and number of segments; literal segments before parameters where they come first in the table."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._by_shape: dict[tuple[str, int], list[tuple[list[str], Route]]] = {}
        for route in routes:
            parts = route.pattern.split("/")[1:]
            self._by_shape.setdefault((route.method, len(parts)), []).append((parts, route))

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """The route of a request and its parameters; None when there is none."""
        parts = path.rstrip("/").split("/")[1:]
        for pattern, route in self._by_shape.get(("GET" if method == "HEAD" else method, len(parts)), ()):
            if all(p == part or (p[:1] == ":" and part) for p, part in zip(pattern, parts, strict=True)):
                return route, {p[1:]: part for p, part in zip(pattern, parts, strict=True) if p[:1] == ":"}
        return None
