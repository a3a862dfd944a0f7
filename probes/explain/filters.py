"""Filters in the wrong form: enrolment types and states, arrays without brackets. Canvas ignores or matches nothing, without an error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from probes.explain.lists import (
    ARRAYS,
    COURSE_ENROLLMENT_STATES,
    COURSE_STATES,
    ENROLLMENT_CLASSES,
    ENROLLMENT_STATES,
    ENROLLMENT_TYPES,
    INCLUDES,
    NEAR,
    STUDENT_VIEW,
    is_id,
    is_my_courses,
    nearest_word,
)
from probes.explain.request import VARIABLE, Request
from probes.explain.rules import Remark, Weight

_FILTERS: dict[str, tuple[tuple[str, ...], str, dict[str, str]]] = {
    "enrollments": (("enrollment_type",), "type[]", ENROLLMENT_CLASSES),
    "users": (("type", "role"), "enrollment_type[]", {}),
}
"""List -> names that it does not know, its own, and its words for the short ones."""
_LONG = {long.lower(): short for short, long in ENROLLMENT_CLASSES.items()}


def enrollment_type(request: Request) -> Iterator[Remark]:
    """`TeacherEnrollment` where `teacher` is meant: on courses and on their users."""
    for index, (key, value) in enumerate(request.pairs):
        if key not in ("enrollment_type", "enrollment_type[]") or value in ENROLLMENT_TYPES:
            continue
        short = _LONG.get(value.lower()) or (value.lower() if value.lower() in ENROLLMENT_TYPES else None)
        if (value == STUDENT_VIEW and not is_my_courses(request.segments)) or VARIABLE.match(value):
            continue
        if short is None and "," in value:
            request.first = "chosen one type"
            says = f"{key}={value} matches nothing, without an error: it takes one type."
            yield Remark("enrollment_type", Weight.WRONG, says, f"Leave {key} out, or ask once for each type.")
        elif short is None:
            says = f"{key}={value} matches nothing, without an error."
            yield Remark("enrollment_type", Weight.WRONG, says, _chosen(request, index, ENROLLMENT_TYPES))
        else:
            request.pairs[index] = (key, short)
            yield Remark(
                "enrollment_type",
                Weight.WRONG,
                f"{key}={value} matches nothing, without an error: Canvas makes '{short.capitalize()}Enrollment' of the short word itself.",
                f"Write {key}={short}.",
            )


def type_name(request: Request) -> Iterator[Remark]:
    """The filter by type under the other list's name: enrolments take type[], users enrollment_type[], and either ignores the other's."""
    within = request.segments[0] if len(request.segments) == 3 else ""
    wanted, own, words = _FILTERS.get(request.segments[-1], ((), "", {})) if within in ("courses", "sections") else ((), "", {})
    for index, (key, value) in enumerate(request.pairs):
        short = _LONG.get(value.lower(), value.lower())
        if request.reads and key.removesuffix("[]") in wanted and short in ENROLLMENT_CLASSES:
            request.pairs[index] = (own, words.get(short, short))
            says = f"Lists of {request.segments[-1]} do not know {key} and ignore it, without an error: all types come."
            yield Remark("type_name", Weight.WRONG, says, f"Write {own}={request.pairs[index][1]}.")


def enrollment_class(request: Request) -> Iterator[Remark]:
    """`student` where `StudentEnrollment` is meant: type[] of the enrolment lists is the long form, to the letter (`IN (:type)`)."""
    if request.segments[-1:] != ["enrollments"]:
        return
    for index, (key, value) in enumerate(request.pairs):
        short = value.lower() in ENROLLMENT_CLASSES
        long = ENROLLMENT_CLASSES.get(value.lower()) or _proper(value)
        if key in ("type", "type[]", "role", "role[]") and long is not None and value != long:
            request.pairs[index] = (key, long)
            why = "is the short form; lists of enrolments take the long" if short else "is compared to the letter and matches nothing"
            yield Remark("enrollment_type", Weight.WRONG, f"{key}={value} {why}.", f"Write {key}={long}.")


def new_enrollment_type(request: Request) -> Iterator[Remark]:
    """`student` where `StudentEnrollment` is meant, in an enrolment that is posted."""
    if request.method != "POST" or request.segments[-1:] != ["enrollments"]:
        return
    for value in request.said("enrollment[type]"):
        if VARIABLE.match(value):
            continue
        if value not in ENROLLMENT_CLASSES.values() and not request.said("enrollment[role_id]") + request.said("enrollment[role]"):
            right = ENROLLMENT_CLASSES.get(value.lower()) or _proper(value)
            advice = f"Write enrollment[type]={right}." if right else f"Use one of {', '.join(ENROLLMENT_CLASSES.values())}."
            says = f"enrollment[type]={value} is no type of an enrolment: Canvas refuses it (Invalid type)."
            yield Remark("enrollment_type", Weight.WRONG, says, advice)


def _proper(value: str) -> str | None:
    """A long form in other capitals, as Canvas writes it."""
    return next((one for one in ENROLLMENT_CLASSES.values() if one.lower() == value.lower()), None)


def course_states(request: Request) -> Iterator[Remark]:
    """state[] and enrollment_state mixed up on lists of courses."""
    if not is_my_courses(request.segments):
        return
    for index, (key, value) in enumerate(request.pairs):
        if key == "enrollment_state" and value in COURSE_STATES and value not in COURSE_ENROLLMENT_STATES:
            request.pairs[index] = ("state[]", value)
            yield _mixed_up(key, value, "the course's state", "state[]")
        elif key in ("state", "state[]") and value in COURSE_ENROLLMENT_STATES and value not in COURSE_STATES:
            request.pairs[index] = ("enrollment_state", value)
            yield _mixed_up(key, value, "your enrolment's state", "enrollment_state")
        elif key in ("enrollment_state", "state", "state[]"):
            known = COURSE_ENROLLMENT_STATES if key == "enrollment_state" else COURSE_STATES
            if value not in known and not VARIABLE.match(value):
                says = f"{key}={value} is not a state that Canvas knows here."
                yield Remark("unknown_state", Weight.WRONG, says, _chosen(request, index, known))


def _chosen(request: Request, index: int, known: Sequence[str]) -> str:
    """The advice on a word of a closed list that is none of it; it is mended where plain what is meant, else there is no right URL yet."""
    key, value = request.pairs[index]
    near = nearest_word(value, known)
    if near is None:
        request.first = "chosen a word that Canvas knows"
        return f"Use one of {', '.join(known)}."
    request.pairs[index] = (key, near)
    return f"Did you mean {near}? Canvas knows {', '.join(known)}."


def _mixed_up(key: str, value: str, what: str, right: str) -> Remark:
    return Remark("state_filter", Weight.WRONG, f"{value} is {what}; {key} filters by the other one.", f"Write {right}={value}.")


def active_only(request: Request) -> Iterator[Remark]:
    """enrollment_state=active on the list of one's own courses: right, and it leaves out more than its name says."""
    if request.reads and is_my_courses(request.segments) and request.values("enrollment_state") == ["active"]:
        says = "enrollment_state=active leaves out invitations, and courses that by their dates have not begun or are over, without a word."
        advice = "Where some of your courses are missing ask with enrollment_state=invited_or_pending and =completed too, or leave it out."
        yield Remark("active_only", Weight.INFO, says, advice)


def enrollment_states(request: Request) -> Iterator[Remark]:
    """enrollment_state on a list of enrolments, where the filter is state[]; unknown states."""
    if request.segments[-1:] != ["enrollments"]:
        return
    for index, (key, value) in enumerate(request.pairs):
        if key in ("enrollment_state", "enrollment_state[]"):
            request.pairs[index] = ("state[]", value)
            yield Remark("state_filter", Weight.WRONG, f"Lists of enrolments do not know {key} and ignore it.", f"Write state[]={value}.")
        elif key in ("state", "state[]") and value not in ENROLLMENT_STATES and not VARIABLE.match(value):
            says = f"{key}={value} is not a state of an enrolment (400 'Invalid state' on your own)."
            yield Remark("unknown_state", Weight.WRONG, says, _chosen(request, index, ENROLLMENT_STATES))


def includes(request: Request) -> Iterator[Remark]:
    """include[] with a slip in a word that the list knows; of other words nothing is said, newer ones are not known here."""
    named = [segment for segment in request.segments[-2:] if not is_id(segment)][-1:]
    known = INCLUDES.get(named[0] if named else "", ())
    for index, (key, value) in enumerate(request.pairs):
        near = nearest_word(value, known, NEAR) if key == "include[]" and value not in known else None
        if near is not None:
            request.pairs[index] = (key, near)
            says = f"include[]={value} is not known here: Canvas leaves out what it does not know, without an error."
            yield Remark("unknown_include", Weight.WRONG, says, f"Did you mean {near}?")


def brackets(request: Request) -> Iterator[Remark]:
    """Arrays without [], or their values joined by commas."""
    names = ARRAYS.get(request.segments[-1] if request.segments else "", ())
    if request.segments[:1] == ["accounts"] and request.segments[-1] == "courses":
        names += ("enrollment_type", "by_teachers", "by_subaccounts")
    if len(request.segments) == 2 and request.segments[0] in ARRAYS:
        names = ("include",)
    for name in names:
        given = request.values(name)
        joined = any("," in value for value in (*given, *request.values(f"{name}[]")))
        if given or joined:
            request.pairs = list(_bracketed(request.pairs, name))
            right = "&".join(f"{key}={value}" for key, value in request.pairs if key == f"{name}[]")
            says = (
                f"{name} takes several values, one a parameter: of several without brackets only the last counts, and some lists take none."
                if given
                else f"{name}[] takes one value a parameter: joined by commas they are one unknown word."
            )
            yield Remark("brackets", Weight.WRONG, says, f"Write {right}.")


def _bracketed(pairs: list[tuple[str, str]], name: str) -> Iterator[tuple[str, str]]:
    for key, value in pairs:
        if key in (name, f"{name}[]"):
            yield from ((f"{name}[]", part.strip()) for part in value.split(",") if part.strip())
        else:
            yield key, value


def needless_brackets(request: Request) -> Iterator[Remark]:
    """Brackets where there is one value: per_page[]=100 fails inside Canvas, enrollment_state[] of courses is not read."""
    plain = {"per_page[]", "page[]", "search_term[]"} | (
        {"enrollment_state[]", "enrollment_type[]"} if is_my_courses(request.segments) else set()
    )
    for index, (key, value) in enumerate(request.pairs):
        if key in plain:
            request.pairs[index] = (key.removesuffix("[]"), value)
            yield Remark(
                "brackets",
                Weight.WRONG,
                f"{key} is one value, not several: with brackets it is not understood.",
                f"Write {key[:-2]}={value}.",
            )
