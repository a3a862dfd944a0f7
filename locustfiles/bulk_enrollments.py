"""The bulk job: lists the active enrolments of a course, then inactivates each once. `--course 1 --rate 10`.

It writes: only on an instance whose configuration says allow_writes (and allow_load); a simulated one is taken when none is named. One
process.
"""

from __future__ import annotations

from _settings import LoadSettings
from _users import ProbeUser, install
from _work import Inactivation, Work

from probes.errors import UsageError


def inactivate(settings: LoadSettings) -> Work:
    """The enrolments of one course. Raises UsageError when no course is named."""
    course = str(settings.options.get("course") or "")
    if not course.isalnum():
        raise UsageError("Say which course with --course.")
    return Inactivation(course, settings.instance.url)


install("bulk_enrollments", inactivate)


class BulkEnrollments(ProbeUser):
    """Takes the next due time."""
