"""Records of the simulated school, mutable where Canvas changes them. Times are seconds from the simulator's start, negative before it."""

from __future__ import annotations

from dataclasses import dataclass, field

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Term:
    """An enrolment term; None: no date."""

    id: int
    name: str
    start_s: float | None
    end_s: float | None


@dataclass(slots=True)
class Channel:
    """A communication channel; `retired` ones are hidden from lists, bouncing ones get no mail (RETIRE_THRESHOLD 1)."""

    id: int
    user_id: int
    address: str
    type: str = "email"
    state: str = "active"
    bounces: int = 0


@dataclass(slots=True)
class Person:
    """A user; one who is not registered has no login."""

    id: int
    name: str
    login: str | None
    channels: list[Channel] = field(default_factory=list)
    observes: list[int] = field(default_factory=list)

    @property
    def registered(self) -> bool:
        """Whether the user ever registered."""
        return self.login is not None


@dataclass(slots=True)
class Course:
    """A course. `restricted`: its own dates hold in place of the term's; `future_hidden`: students may not see it before it starts."""

    id: int
    name: str
    state: str
    term: Term
    start_s: float | None = None
    end_s: float | None = None
    restricted: bool = False
    future_hidden: bool = False
    override_pending: bool = False
    """The term has dates of its own for teachers, which have not begun: their enrolments are not active yet."""

    def begins_s(self) -> float | None:
        """When the course begins for its students; None: no date."""
        return self.start_s if self.restricted else self.term.start_s

    def ends_s(self) -> float | None:
        """When the course ends; None: no date."""
        return self.end_s if self.restricted else self.term.end_s

    def concluded(self, now_s: float) -> bool:
        """Whether it is over, by state or by date."""
        ends = self.ends_s()
        return self.state == "completed" or (ends is not None and ends < now_s)

    def future(self, now_s: float) -> bool:
        """Whether it has not begun."""
        begins = self.begins_s()
        return begins is not None and begins > now_s


@dataclass(frozen=True, slots=True)
class Section:
    """A section of a course."""

    id: int
    course_id: int
    name: str


@dataclass(slots=True)
class Enrollment:
    """One user in one section in one role; `state` is the stored workflow state."""

    id: int
    course_id: int
    section_id: int
    user_id: int
    type: str
    state: str
    created_s: float
    updated_s: float
    associated_user_id: int | None = None
    completed_s: float | None = None


@dataclass(frozen=True, slots=True)
class Mail:
    """One message that Canvas made; `sent` is false where the instance sends no mail, or no channel takes it, and `why` says so."""

    at_s: float
    kind: str
    enrollment_id: int
    user_id: int
    address: str | None
    sent: bool
    why: str
