"""Questions people ask, and the URLs that answer them.

The recipe for courses follows `courses_for_user` of instructure/canvas-lms: an enrolment whose term has not begun is not `active`, so
current and future courses take two lists.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_COURSES = "/api/v1/courses?enrollment_type=teacher&enrollment_state={state}&state[]=unpublished&state[]=available"
_DETAILS = "&include[]=total_students&include[]=term&include[]=concluded&per_page=100"
_ALL_STATES = "".join(f"&state[]={state}" for state in ("active", "invited", "creation_pending", "inactive", "completed", "rejected"))


@dataclass(frozen=True, slots=True)
class Question:
    """A question from the list: the paths that answer it together, how to join them, which items to keep."""

    name: str
    asks: str
    paths: tuple[str, ...]
    keep: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def document(self, origin: str) -> dict[str, Any]:
        """As JSON carries it, with whole URLs."""
        urls = [origin + path for path in self.paths]
        return {"name": self.name, "asks": self.asks, "urls": urls, "keep": list(self.keep), "notes": list(self.notes)}


_UNION = "Read every page of each list and join them by id."
_THIS_TERM = "term.start_at is empty or before now, and term.end_at is empty or after now"

QUESTIONS: tuple[Question, ...] = (
    Question(
        "current-courses",
        "Which of my courses, current and future, have at least one student?",
        (_COURSES.format(state="active") + _DETAILS, _COURSES.format(state="invited_or_pending") + _DETAILS),
        ("total_students > 0", "concluded is not true"),
        (
            _UNION,
            "The second list is needed: where the term has not begun, your enrolment does not count as active.",
            "enrollment_type takes the short word; TeacherEnrollment matches nothing. Other roles: student, ta, observer, designer.",
            "total_students counts active and invited students.",
            "As an administrator, for all courses of the account: /api/v1/accounts/self/courses?with_enrollments=true"
            "&enrollment_type[]=student&completed=false" + _DETAILS + " (from the documentation; needs the right to list courses).",
        ),
    ),
    Question(
        "my-courses",
        "Which courses am I in at all?",
        ("/api/v1/courses?state[]=unpublished&state[]=available&state[]=completed&include[]=term&include[]=concluded&per_page=100",),
        (),
        (
            "Without state[] courses that are over by their dates may be missing.",
            "A page size changes the cost of this list hardly at all.",
        ),
    ),
    Question(
        "course-roster",
        "Who is in a course, with which role?",
        ("/api/v1/courses/COURSE/users?include[]=enrollments&include[]=email&per_page=100",),
        (),
        ("Put the course's number for COURSE.", "probes roster -i NAME --course COURSE reads it with channels, into a spreadsheet too."),
    ),
    Question(
        "enrollments-of-course",
        "Which enrolments does a course have, in every state?",
        ("/api/v1/courses/COURSE/enrollments?per_page=100" + _ALL_STATES,),
        (),
        (
            "Put the course's number for COURSE.",
            "Without state[] only active and invited ones are listed.",
            "This list pages by bookmarks: no page numbers, no last.",
        ),
    ),
    Question(
        "students-of-course",
        "Which students are in a course?",
        ("/api/v1/courses/COURSE/users?enrollment_type[]=student&include[]=enrollments&per_page=100",),
        (),
        ("Put the course's number for COURSE.", "Here enrollment_type[] has brackets and takes the short word."),
    ),
    Question(
        "channels-of-user",
        "How can a user be reached?",
        ("/api/v1/users/USER/communication_channels?per_page=100",),
        ("type is email and workflow_state is active: those get mail",),
        (
            "Put the user's number for USER.",
            "The documentation names the states unconfirmed and active; a third exists in the source, retired, and lists hide it.",
        ),
    ),
    Question(
        "sis-queue",
        "Which SIS imports wait or run, and how long did past ones wait?",
        ("/api/v1/accounts/self/sis_imports/importing", "/api/v1/accounts/self/sis_imports?per_page=100"),
        (),
        (
            "self is the root account; imports run there only.",
            "Waiting time is started_at - created_at, running time ended_at - started_at; started_at is returned though not documented.",
            "The items are in the envelope sis_imports, and the list has no last.",
        ),
    ),
    Question(
        "who-am-i",
        "Whose token is this, and does it work?",
        ("/api/v1/users/self",),
        (),
        ("The cheapest call that needs a token.",),
    ),
)


def this_term(question: Question) -> Question:
    """`question` narrowed to the running term."""
    return Question(
        question.name, question.asks + " Of the running term only.", question.paths, (*question.keep, _THIS_TERM), question.notes
    )
