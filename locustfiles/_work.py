"""What each request is: a mix of calls by weight, the pages of lists, the enrolments of a bulk job."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Protocol

from _attempt import Answer
from _settings import LoadSettings

from probes.addresses import origin, target
from probes.calls import Call
from probes.dialects.links import links


class Work(Protocol):
    """Says what to send next; `ended` once there is nothing left."""

    def next(self) -> Call | None:
        """The next call; None when there is none at the moment."""

    def seen(self, call: Call, answer: Answer) -> None:
        """What came of it."""

    def name(self, call: Call) -> str:
        """What observations call it: one name for calls of one kind, whatever their ids and pages."""

    @property
    def ended(self) -> bool:
        """Whether nothing is left to send."""


_ENROLLMENT = re.compile(r"/enrollments/\d+")
LIST_TRIES = 4
"""So often pages of the list of a bulk job may fail in all, the last time for good."""
MakeWork = Callable[[LoadSettings], Work]


class Mix:
    """Calls by weight, spread smoothly (the weighted round robin of nginx): the shares are right over any stretch."""

    ended = False

    def __init__(self, calls: tuple[Call, ...]) -> None:
        self._calls = calls
        self._credit = [0.0] * len(calls)
        self._total = sum(call.weight for call in calls)

    def next(self) -> Call:
        """The call that is furthest behind its share."""
        if len(self._calls) == 1:
            return self._calls[0]
        for index, call in enumerate(self._calls):
            self._credit[index] += call.weight
        best = max(range(len(self._calls)), key=self._credit.__getitem__)
        self._credit[best] -= self._total
        return self._calls[best]

    def seen(self, call: Call, answer: Answer) -> None:
        """A mix learns nothing from answers."""

    def name(self, call: Call) -> str:
        """Its own."""
        return call.name


class Walk:
    """Lists, page after page: follows `rel=next` within the instance's origin, and starts anew when a list has ended.

    Users walk at the same time: the pages that are known and not yet asked wait in a row; when none waits a list is started from its
    first page.
    """

    ended = False

    def __init__(self, calls: tuple[Call, ...], home: str) -> None:
        self._starts = Mix(calls)
        self._home = home
        self._waiting: list[Call] = []

    def next(self) -> Call:
        """A known page, else the first page of a list."""
        return self._waiting.pop(0) if self._waiting else self._starts.next()

    def name(self, call: Call) -> str:
        """That of the list, whichever page it is."""
        return kind_of(call)

    def seen(self, call: Call, answer: Answer) -> None:
        """Notes the page after this one."""
        path = next_page(answer, self._home)
        if path is not None and path != call.path:
            self._waiting.append(Call("GET", path))


class Inactivation:
    """The bulk job that started this project: lists the active enrolments of a course, then inactivates each, once, and ends.

    `task=inactivate` is spelt out: Canvas silently concludes an enrolment when it does not know the task.
    """

    def __init__(self, course: str, home: str) -> None:
        self._home = home
        self._course = course
        self._pages = [Call("GET", f"/api/v1/courses/{course}/enrollments?state[]=active&per_page=100")]
        self._jobs: list[Call] = []
        self._open = 0
        self._listed = False
        self._tries = LIST_TRIES
        self._known: set[str] = set()
        self.listed = 0
        self.done = 0

    @property
    def ended(self) -> bool:
        """Whether every enrolment that was listed was sent."""
        return not self._pages and not self._jobs and not self._open

    def next(self) -> Call | None:
        """Pages first, so that the list does not move while it is read; then the enrolments."""
        if self._pages:
            self._open += 1
            return self._pages.pop(0)
        if self._jobs and self._listed:
            self._open += 1
            return self._jobs.pop(0)
        return None

    def name(self, call: Call) -> str:
        """The list, or the inactivation of any enrolment."""
        return kind_of(call)

    def seen(self, call: Call, answer: Answer) -> None:
        """A page adds its enrolments; an inactivation counts when it was answered."""
        self._open -= 1
        if call.method == "DELETE":
            self.done += answer.observation.ok
            return
        items = answer.json() if answer.observation.ok else None
        path = next_page(answer, self._home)
        if not isinstance(items, list) or (path is None and "next" in links(answer.headers, self._home)):
            self._again(call)
            return
        for item in items:
            self._add(item)
        if path is not None and self._first(path) and path != call.path:
            self._pages.append(Call("GET", path))
        else:
            self._listed = True

    def _again(self, call: Call) -> None:
        """A page that failed, or leads elsewhere, is asked again; where it stays so the list is not whole, and nothing is inactivated."""
        self._tries -= 1
        if self._tries > 0:
            self._pages.append(call)
        else:
            self._jobs.clear()

    def _first(self, key: str) -> bool:
        known = key in self._known
        self._known.add(key)
        return not known

    def _add(self, item: Any) -> None:
        if isinstance(item, dict) and isinstance(item.get("id"), int) and self._first(str(item["id"])):
            self.listed += 1
            self._jobs.append(Call("DELETE", f"/api/v1/courses/{self._course}/enrollments/{item['id']}?task=inactivate"))


def kind_of(call: Call) -> str:
    """The call's name without the number of its page and with :id for the enrolment's own."""
    path, _, query = call.path.partition("?")
    kept = "&".join(part for part in query.split("&") if not part.startswith("page="))
    return f"{call.method} {_ENROLLMENT.sub('/enrollments/:id', path)}" + (f"?{kept}" if kept else "")


def next_page(answer: Answer, home: str) -> str | None:
    """Path and query of the answer's `rel=next` link; None when there is none or when it leads to another origin than `home`."""
    url = links(answer.headers, home).get("next")
    return target(url) if url is not None and origin(url) == origin(home) else None
