"""A call as a user writes it: an optional weight before it, an optional JSON body behind its path.

Three calls: `GET /api/v1/users/self`, `3 GET /api/v1/courses?per_page=100` and
`POST /api/v1/courses/1/enrollments {"enrollment": {"user_id": 2}}`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

from probes.errors import UsageError
from probes.wording import heard, quoted

READ_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
METHODS = READ_METHODS | {"POST", "PUT", "PATCH", "DELETE"}
ENROLLMENT_TASKS = frozenset({"conclude", "delete", "inactivate", "deactivate"})
"""Tasks of DELETE enrollment that Canvas knows; anything else silently concludes (`EnrollmentsApiController#destroy`)."""

_LINE = re.compile(r"^(?:(?P<weight>\d+(?:\.\d+)?)\s+)?(?:(?P<method>[A-Za-z]+)\s+)?(?P<path>/(?!/)\S*)(?:\s+(?P<body>[{\[].*))?$")
_ID = re.compile(r"\d[\d~]*|[0-9a-fA-F]{16,}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|\w+:.*")
"""A segment that names one thing: a number, one of another shard, a hash, a UUID, sis_course_id:X."""
_ID_VALUE = re.compile(r"((?:^|&)[^=&]*ids?(?:\[\]|%5[bB]%5[dD])?=)([^&]*)")
_KIND = re.compile(r"[/=]:id\b")
"""Where the name of a kind stands for any id."""
_ENROLLMENT = re.compile(r"/enrollments/[^/]+/*$")


@dataclass(frozen=True, slots=True)
class Call:
    """One kind of request: method, path with its query, JSON body or None, weight in a mix (any unit).

    `alike` is how observations name it where many calls that differ in ids only count as one kind; None for its own name.
    """

    method: str
    path: str
    body: Any = None
    weight: float = 1.0
    alike: str | None = None

    @property
    def name(self) -> str:
        """How observations name this call: `GET /api/v1/users/self`."""
        return self.alike or f"{self.method} {self.path}"

    @property
    def writes(self) -> bool:
        """Whether this call may change something."""
        return self.method not in READ_METHODS


@dataclass(frozen=True, slots=True)
class Round:
    """The next calls to make: each starts `offset_s` after the round's start, which is `after_s` after the last answer came.

    The rest of a round is not sent once an answer was refused, or showed a Remaining below `stop_below`, or a call's turn comes while
    `most_in_flight` others are on their way.
    """

    calls: tuple[tuple[float, Call], ...]
    after_s: float = 0.0
    stop_below: float | None = None
    most_in_flight: int | None = None


def parse(text: str) -> Call:
    """The call in `text`. Raises UsageError when it is none, or when Canvas would do something else than it says."""
    text = heard(text)
    match = _LINE.match(text.strip())
    if re.search("[\ud800-\udfff]", text):  # bytes of a command line that are no text
        raise UsageError(f"{text.strip()!a} is not UTF-8 text: write other bytes as %FF.")
    if match is None:
        raise UsageError(f"'{text.strip()}' is not a call: write it as 'GET /api/v1/users/self'.")
    method = (match["method"] or "GET").upper()
    if method not in METHODS:
        raise UsageError(f"'{method}' in '{text.strip()}' is not a method: use one of {', '.join(sorted(METHODS))}.")
    call = Call(method, match["path"], _body(match["body"], text), float(match["weight"] or 1.0))
    if call.weight <= 0.0:
        raise UsageError(f"The weight in '{text.strip()}' must be above 0.")
    refuse_unknown_task(call)
    return call


def parse_lines(lines: Iterable[str], source: str) -> list[Call]:
    """The calls of a calls file: one a line, empty lines and lines from # on left out.

    Raises UsageError that names `source` and the line.
    """
    calls = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text and not text.startswith("#"):
            try:
                calls.append(parse(text))
            except UsageError as error:
                raise UsageError(f"{source}, line {number}: {error}") from None
    if not calls:
        raise UsageError(f"{source} holds no call: write one a line, as 'GET /api/v1/users/self'.")
    return calls


def template(call: Call) -> str:
    """What `call` has in common with calls that differ in ids only: `GET /api/v1/users/:id/enrollments?state[]=active`."""
    path, mark, query = call.path.partition("#")[0].partition("?")
    shown = _ID_VALUE.sub(lambda found: found[1] + ":id" if _ID.fullmatch(found[2]) else found[0], query)
    return f"{call.method} {without_ids(path)}{mark}{shown}"


def without_ids(path: str, longest: int | None = None) -> str:
    """`path`, which has no query, with `:id` for each segment that names one thing, or that has more than `longest` characters."""

    def shown(segment: str) -> str:
        plain = segment.replace("%7E", "~")
        return ":id" if _ID.fullmatch(plain) or (longest is not None and len(plain) > longest) else segment

    return "/".join(map(shown, path.split("/")))


def asked_by(name: str, several: str = "--call '...'") -> str:
    """The option by which a command that people copy asks what observations call `name`: `--call 'GET /api/v1/users/self'`.

    `several` where no one call is meant (a kind with `:id`, a mix), and where it may change something: its body is not known.
    """
    method, _, path = name.partition(" ")
    again = method in READ_METHODS and path.startswith("/") and not _KIND.search(path)
    return f"--call {quoted(name)}" if again else several


def refuse_unknown_task(call: Call) -> None:
    """Raises UsageError for DELETE enrollment with a task that Canvas does not know: it would silently conclude the enrolment."""
    path, _, query = call.path.partition("#")[0].partition("?")
    if _real_method(call, query) != "DELETE" or not _ENROLLMENT.search(unquote(path)):
        return
    given = [*_parameters(query), *(call.body.items() if isinstance(call.body, dict) else ())]
    for key, _ in given:
        if key != "task" and key.strip().lower().partition("[")[0] == "task":
            raise UsageError(
                f"'{key}' in '{call.name}' is no task to Canvas, which would conclude the enrolment: write task=... in small letters."
            )
    tasks = [str(value) for key, value in given if key == "task"]
    for task in tasks:
        if task not in ENROLLMENT_TASKS:
            known = ", ".join(sorted(ENROLLMENT_TASKS))
            raise UsageError(f"task={task} in '{call.name}' is unknown to Canvas, which would conclude the enrolment: use one of {known}.")


def _parameters(query: str) -> list[tuple[str, str]]:
    return parse_qsl(query.replace(";", "&"), keep_blank_values=True)  # Rack, unlike urllib, also separates by a semicolon


def _real_method(call: Call, query: str) -> str:
    """Rails takes a POST for what its parameter `_method` says."""
    given = [*_parameters(query), *(call.body.items() if isinstance(call.body, dict) else ())]
    return next((str(value).upper() for key, value in given if key == "_method" and call.method == "POST"), call.method)


def _body(text: str | None, line: str) -> Any:
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        raise UsageError(f"The body behind the path in '{line.strip()}' is not JSON.") from None
