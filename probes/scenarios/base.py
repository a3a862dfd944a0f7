"""What a scenario is: a named question, asked as an async generator of observations. It never judges and never writes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from probes.calls import Call, Round
from probes.observation import Observation

if TYPE_CHECKING:
    from probes.client import Client

Decide = Callable[[Sequence[Observation]], "Round | None"]
"""What to ask next, given all seen so far; None when nothing more is needed. `jobs` wires an estimator into it."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a scenario may be told. `calls`: which calls to make instead of its own; `course`, `section`, `user`: ids it may ask about.

    `brief`: it is asked again and again, as by the exporter; what an answer as hoped for makes needless may be left out.
    """

    calls: tuple[Call, ...] = ()
    repeat: int = 40
    course: str | None = None
    section: str | None = None
    user: str | None = None
    budget: int | None = None
    allow_writes: bool = False
    decide: Decide | None = None
    brief: bool = False
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A named question.

    `asks` is the question as a person puts it; `budget(options)` the greatest number of requests it sends to one instance.
    """

    name: str
    asks: str
    budget: Callable[[Options], int]
    observe: Callable[[Client, Options], AsyncIterator[Observation]]
    writes: bool = False
    in_all: bool = True
