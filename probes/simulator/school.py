"""A school made from a seed: the same settings give the same users, courses, enrolments and channels, to the last id.

User 1 owns the token: a teacher who may also read the account. Users from 2 are students; course 1 is the big one, course 2 holds
enrolments of every type and state. `CHARACTERS` are users for the questions that people ask about mail and channels.
"""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

from probes.instants import instant
from probes.simulator.people import DAY_S, Channel, Course, Enrollment, Person, Section, Term
from probes.simulator.settings import EPOCH_S, SimulatorSettings

ROOT_ACCOUNT_ID = 1
FORBIDDEN_COURSE_ID = 901
"""A course that exists and that the token may not see."""

CHARACTERS = {
    "assistant": 1001,
    "designer": 1002,
    "observer": 1003,
    "unregistered_observer": 1004,
    "unregistered": 1005,
    "retired_channels": 1006,
    "bouncing": 1007,
    "unconfirmed": 1008,
    "newcomer": 1009,
    "no_email": 1010,
}
"""Users with something particular about them, by what it is; `newcomer` is registered, reachable and enrolled nowhere."""

TERMS = (
    Term(1, "Default Term", None, None),
    Term(2, "Spring", -200 * DAY_S, -60 * DAY_S),
    Term(3, "Autumn", -60 * DAY_S, 60 * DAY_S),
    Term(4, "Next Spring", 70 * DAY_S, 190 * DAY_S),
)
# (state, term id, students at least, students at most, what is special)
LAYOUT: tuple[tuple[str, int, int, int, str], ...] = (
    ("available", 3, 0, 0, "big"),
    ("available", 3, 6, 6, "all states"),
    *((("available", 3, 5, 40, ""),) * 9),
    ("available", 1, 8, 20, ""),
    ("unpublished", 3, 3, 9, ""),
    ("unpublished", 3, 3, 9, ""),
    ("unpublished", 3, 0, 0, ""),
    ("available", 3, 0, 0, ""),
    ("available", 3, 0, 0, ""),
    ("available", 4, 4, 12, ""),
    ("available", 4, 4, 12, "override pending"),
    ("unpublished", 4, 2, 6, "future hidden"),
    ("unpublished", 4, 0, 0, "override pending"),
    ("available", 2, 5, 30, ""),
    ("available", 2, 5, 30, ""),
    ("available", 3, 5, 30, "ended early"),
    ("completed", 2, 5, 30, ""),
    ("completed", 3, 5, 12, ""),
)
OWN_ROLES = {10: "TaEnrollment", 11: "StudentEnrollment", 23: "StudentEnrollment"}
"""In which courses user 1 is no teacher."""
FIRST = ("Ada", "Ben", "Chloe", "Deniz", "Elif", "Finn", "Grace", "Hugo", "Ines", "Jun", "Kofi", "Lena", "Mara", "Nils", "Olga", "Pia")
LAST = ("Ahmed", "Brandt", "Costa", "Diaz", "Eriksen", "Fischer", "Garcia", "Huber", "Ito", "Jansen", "Kim", "Lopez", "Meyer", "Novak")
STATES = ("active", "invited", "creation_pending", "inactive", "completed", "rejected", "deleted")


class School:
    """All records by id. `iso` and `at` go between the simulator's seconds and wall-clock text."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self.settings = settings
        self.epoch_s = EPOCH_S if settings.epoch_s is None else settings.epoch_s
        self.terms = {term.id: term for term in TERMS}
        self.people: dict[int, Person] = {}
        self.courses: dict[int, Course] = {}
        self.sections: dict[int, Section] = {}
        self.enrollments: dict[int, Enrollment] = {}
        self.of_course: dict[int, list[Enrollment]] = defaultdict(list)
        self.of_user: dict[int, list[Enrollment]] = defaultdict(list)
        self.custom_data: dict[tuple[int, str, str], Any] = {}
        self._random = random.Random(settings.seed + 5)
        self._populate()

    def iso(self, at_s: float | None) -> str | None:
        """That instant as Canvas writes it; None for None."""
        if at_s is None:
            return None
        return instant(int(self.epoch_s + at_s)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def enroll(self, course_id: int, section_id: int, user_id: int, kind: str, state: str, now_s: float) -> Enrollment:
        """A new enrolment record."""
        record = Enrollment(len(self.enrollments) + 1, course_id, section_id, user_id, kind, state, now_s, now_s)
        self.enrollments[record.id] = record
        self.of_course[course_id].append(record)
        self.of_user[user_id].append(record)
        return record

    def sections_of(self, course_id: int) -> list[Section]:
        """Sections of a course in the order of their ids."""
        return [section for section in self.sections.values() if section.course_id == course_id]

    def _populate(self) -> None:
        self._add_person(1, "Tina Teacher", "tina")
        for user_id in range(2, 2 + self.settings.students):
            name = f"{self._random.choice(FIRST)} {self._random.choice(LAST)}"
            self._add_person(user_id, name, f"s{user_id:05d}")
        self._add_characters()
        for number in range(1, self.settings.courses + 1):
            layout = LAYOUT[number - 1] if number <= len(LAYOUT) else ("available", 3, 5, 40, "")
            self._add_course(number, *layout)
        forbidden = Course(FORBIDDEN_COURSE_ID, "Somebody else's course", "available", self.terms[3])
        self.courses[forbidden.id] = forbidden
        self._add_sections(forbidden, 1)

    def _add_person(self, user_id: int, name: str, login: str | None, state: str = "active") -> Person:
        person = self.people[user_id] = Person(user_id, name, login)
        self._add_channel(person, f"{login or name.lower().replace(' ', '.')}@school.example", state=state)
        if login is not None and user_id % 7 == 0:
            self._add_channel(person, f"old-{login}@mail.example", state="retired")
        if login is not None and user_id % 11 == 0:
            self._add_channel(person, "For All Devices", kind="push")
        if login is not None and user_id % 13 == 0:
            self._add_channel(person, f"{login}@home.example", state="unconfirmed")
        return person

    def _add_channel(self, person: Person, address: str, kind: str = "email", state: str = "active") -> None:
        channel_id = person.id * 10 + len(person.channels) + 1
        person.channels.append(Channel(channel_id, person.id, address, kind, state))

    def _add_characters(self) -> None:
        ids = CHARACTERS
        self._add_person(ids["assistant"], "Theo Assistant", "theo")
        self._add_person(ids["designer"], "Dora Designer", "dora")
        self._add_person(ids["observer"], "Olaf Observer", "olaf").observes.append(2)
        self._add_person(ids["unregistered_observer"], "Uma Observer", None, "unconfirmed").observes.append(3)
        self._add_person(ids["unregistered"], "Uwe Unregistered", None, "unconfirmed")
        self._add_person(ids["retired_channels"], "Rita Retired", "rita", "retired")
        self._add_person(ids["bouncing"], "Bob Bouncing", "bob").channels[0].bounces = 2
        self._add_person(ids["unconfirmed"], "Una Unconfirmed", "una", "unconfirmed")
        self._add_person(ids["newcomer"], "Nora Newcomer", "nora")
        silent = self._add_person(ids["no_email"], "Sam Silent", "sam")
        silent.channels[0].type, silent.channels[0].address = "sms", "+15550100"

    def _add_course(self, number: int, state: str, term_id: int, fewest: int, most: int, special: str) -> None:
        term = self.terms[term_id]
        course = self.courses[number] = Course(number, f"Course {number:02d}", state, term)
        course.override_pending = special == "override pending"
        course.future_hidden = special == "future hidden"
        if special == "ended early":
            course.start_s, course.end_s, course.restricted = -50 * DAY_S, -5 * DAY_S, True
        self._add_sections(course, 2 if number % 3 == 1 else 1)
        count = self.settings.students if special == "big" else self._random.randint(fewest, most)
        self._fill(course, min(count, self.settings.students))
        if special == "all states":
            self._add_all_states(course)

    def _add_sections(self, course: Course, count: int) -> None:
        for number in range(1, count + 1):
            section = Section(course.id * 10 + number, course.id, f"{course.name} Section {number}")
            self.sections[section.id] = section

    def _fill(self, course: Course, count: int) -> None:
        sections = self.sections_of(course.id)
        begun = max(-55 * DAY_S, (course.begins_s() or -55 * DAY_S)) if not course.future(0.0) else -3 * DAY_S
        self.enroll(course.id, sections[0].id, 1, OWN_ROLES.get(course.id, "TeacherEnrollment"), "active", begun)
        students = range(2, 2 + self.settings.students)
        chosen = sorted(self._random.sample(students, count))
        state = "active" if course.state != "unpublished" else "creation_pending"
        for place, user_id in enumerate(chosen):
            kept = "completed" if course.state == "completed" else state
            self.enroll(course.id, sections[place % len(sections)].id, user_id, "StudentEnrollment", kept, begun)

    def _add_all_states(self, course: Course) -> None:
        section = self.sections_of(course.id)[0].id
        others = [user for user in range(2, 2 + self.settings.students) if all(e.user_id != user for e in self.of_course[course.id])]
        for state, user_id in zip(STATES, others, strict=False):
            self.enroll(course.id, section, user_id, "StudentEnrollment", state, -20 * DAY_S)
        for character, kind in (("assistant", "TaEnrollment"), ("designer", "DesignerEnrollment"), ("unregistered", "StudentEnrollment")):
            state = "creation_pending" if character == "unregistered" else "active"
            self.enroll(course.id, section, CHARACTERS[character], kind, state, -20 * DAY_S)
        observer = self.enroll(course.id, section, CHARACTERS["observer"], "ObserverEnrollment", "active", -20 * DAY_S)
        observer.associated_user_id = 2
