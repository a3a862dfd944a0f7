"""Words that Canvas uses for states and types: those it documents, and those its source knows.

Sources: communication_channel.rb, enrollment.rb and enrollment_state.rb, progress.rb, sis_batch.rb of instructure/canvas-lms, and the
documentation of the same date.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The values one field can have. `known` holds the documented ones too; `hidden` those that lists leave out."""

    thing: str
    field: str
    documented: frozenset[str]
    known: frozenset[str]
    hidden: frozenset[str] = frozenset()


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


IMPORT_WAITING = _words("initializing created")
IMPORT_AT_WORK = _words("importing cleanup_batch restoring")
IMPORT_FAILED = _words("failed failed_with_messages aborted")
IMPORT_UNWELL = IMPORT_FAILED | _words("imported_with_messages")
IMPORT_ENDED = IMPORT_UNWELL | _words("imported partially_restored restored")
"""States of a SIS import: not begun, at work, over; of the last those that failed, and those that brought messages as well."""
_ENROLLMENT = _words("active invited creation_pending deleted rejected completed inactive")
_IMPORT = IMPORT_WAITING | IMPORT_AT_WORK | IMPORT_ENDED

VOCABULARIES: tuple[Vocabulary, ...] = (
    Vocabulary("channel", "workflow_state", _words("unconfirmed active"), _words("unconfirmed active retired"), _words("retired")),
    Vocabulary("channel", "type", _words("email push sms twitter"), _words("email push sms twitter slack personal_email facebook chat")),
    Vocabulary("enrollment", "enrollment_state", _ENROLLMENT, _ENROLLMENT | _words("pending_invited pending_active")),
    Vocabulary(
        "enrollment",
        "type",
        _words("StudentEnrollment TeacherEnrollment TaEnrollment DesignerEnrollment ObserverEnrollment"),
        _words("StudentEnrollment TeacherEnrollment TaEnrollment DesignerEnrollment ObserverEnrollment StudentViewEnrollment"),
    ),
    Vocabulary(
        "progress",
        "workflow_state",
        _words("queued running completed failed"),
        _words("queued running completed failed waiting_for_external_tool canceled"),
    ),
    Vocabulary("import", "workflow_state", _IMPORT, _IMPORT),
)
"""One line a field; `thing` and `field` together are its name."""


ENROLLMENT_TYPES = ("StudentEnrollment", "TeacherEnrollment", "TaEnrollment", "DesignerEnrollment", "ObserverEnrollment")
"""What `type` of an enrolment that is made can be."""


def slip(kind: str) -> str | None:
    """The type of enrolment that `kind` names in other letters, or without its end; None where it is a type, or names none."""
    meant = {word.lower(): one for one in ENROLLMENT_TYPES for word in (one, one.removesuffix("Enrollment"))}
    return None if kind in ENROLLMENT_TYPES else meant.get(kind.lower())


def vocabulary(thing: str, field: str) -> Vocabulary | None:
    """The vocabulary of that field; None where there is none."""
    return next((one for one in VOCABULARIES if (one.thing, one.field) == (thing, field)), None)
