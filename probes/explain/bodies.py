"""What is wrong with the body of a call that writes: its form, and the parameters of a new enrolment or a SIS import.

Source: `enrollments_api_controller.rb#create` and `sis_imports_api_controller.rb#create` of instructure/canvas-lms; curl's manual.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from urllib.parse import parse_qsl

from probes.explain.lists import SIZE_NAMES, is_list
from probes.explain.request import VARIABLE, Request
from probes.explain.rules import Remark, Weight

OF_AN_ENROLMENT = (
    *("user_id", "type", "role", "role_id", "enrollment_state", "course_section_id", "limit_privileges_to_course_section"),
    *("notify", "self_enrollment_code", "self_enrolled", "associated_user_id", "start_at", "end_at", "sis_user_id", "integration_id"),
)
"""Parameters that Canvas reads within `enrollment[...]` alone."""
OF_A_LIST = frozenset(
    ("per_page", "page", "include", "state", "search_term", "sort", "order", "enrollment_type", "enrollment_state", "bucket", *SIZE_NAMES)
)
"""Parameters that lists read and that make nothing."""
_WHO = ("user_id", "sis_user_id", "integration_id", "self_enrollment_code")


def form(request: Request) -> Iterator[Remark]:
    """A body whose Content-Type is another one's."""
    body = "&".join(request.data).strip()
    if request.within or request.multipart:
        return
    kind = request.headers.get("content-type", "").lower()
    if body.startswith(("{", "[")) and "json" not in kind:
        says = "The body is JSON and its Content-Type does not say so: Canvas reads no parameter in it."
        yield Remark("json_untold", Weight.WRONG, says, "Add -H 'Content-Type: application/json'.")
    elif body.startswith("{") and _broken(body):
        says = "The body is no JSON: Canvas answers 400 to it."
        yield Remark(
            "broken_json",
            Weight.WRONG,
            says,
            'Names and texts stand in double quotes, nothing behind the last one; on Windows write \\" for each.',
        )
    elif "json" in kind and re.match(r"[\w\[\]]+=", body):
        says = "Its Content-Type says JSON, and the body is a form: Canvas answers 400 to it."
        yield Remark("form_as_json", Weight.WRONG, says, "Leave that header out, or send JSON.")


def _broken(body: str) -> bool:
    if re.search(r"\$\{?\w|\{\{", body):  # what a shell, or Postman, has yet to put in
        return False
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return True
    return False


def enrollment_by_get(request: Request) -> Iterator[Remark]:
    """GET with the parameters of a new enrolment: only POST makes one."""
    if request.reads and _enrolls(request) and any(key.startswith("enrollment[") for key, _ in request.pairs):
        request.method = "POST"
        says = "GET lists enrolments; enrollment[...] are the parameters of a new one, which POST makes."
        yield Remark("enrollment_by_get", Weight.WRONG, says, "Send POST.")


def list_by_post(request: Request) -> Iterator[Remark]:
    """A curl line whose -d makes a POST of what was to list: all that it sends are parameters of lists."""
    sent = [pair for part in request.data for pair in parse_qsl(part, keep_blank_values=True)]
    if request.method != "POST" or not request.curl or request.multipart or not sent or not is_list(request.segments):
        return
    if all(key.removesuffix("[]") in OF_A_LIST for key, _ in sent):
        request.method, request.data, request.pairs = "GET", [], [*request.pairs, *sent]
        says = f"With -d curl sends POST: that does not list {request.segments[-1]}, it asks Canvas to make one, or finds nothing there."
        yield Remark("list_by_post", Weight.WRONG, says, "Add -G: curl then sends GET, with the parameters in the URL.")


def enrollment(request: Request) -> Iterator[Remark]:
    """A new enrolment without its user, or with parameters outside `enrollment[...]`."""
    if request.method != "POST" or not _enrolls(request) or not request.parameters:
        return
    outside = [key for key, _ in request.parameters if key in OF_AN_ENROLMENT]
    if outside:
        request.pairs = [(f"enrollment[{key}]" if key in OF_AN_ENROLMENT else key, value) for key, value in request.pairs]
        says = f"{', '.join(outside)} outside enrollment[...]: Canvas does not read that."
        yield Remark("outside_enrollment", Weight.WRONG, says, f"Write {', '.join(f'enrollment[{key}]' for key in outside)}.")
    given = {key for key, _ in request.parameters}
    if any(key.startswith("enrollment[") for key in given) and not outside and not given & {f"enrollment[{name}]" for name in _WHO}:
        says = "No enrollment[user_id] is sent: Canvas refuses an enrolment without a user."
        yield Remark("no_user", Weight.WRONG, says, "Add enrollment[user_id]=ID, or sis_user_id:ID.")
    yield from _mail(request)


def _mail(request: Request) -> Iterator[Remark]:
    """Whether a mail goes out, as far as the request tells."""
    notify = [*request.said("enrollment[notify]"), *request.said("notify")]
    if notify and VARIABLE.match(notify[-1]):
        return
    if not notify or notify[-1].lower() not in ("true", "1", "on", "yes", "t", "y"):
        yield Remark("no_mail", Weight.INFO, "Without enrollment[notify]=true no mail goes out.")
    elif "ObserverEnrollment" in request.said("enrollment[type]"):
        yield Remark("no_mail", Weight.INFO, "A registered observer gets no mail, whatever enrollment[notify] says.")


def import_file(request: Request) -> Iterator[Remark]:
    """A SIS import whose file is not sent: `-d attachment=@file` sends the name."""
    if request.method != "POST" or request.segments[-1:] != ["sis_imports"] or request.multipart:
        return
    if any(value.startswith("@") for value in request.said("attachment")):
        says = "-d attachment=@... sends the file's name in place of the file."
        yield Remark("file_not_sent", Weight.WRONG, says, "Write -F attachment=@FILE.")


def _enrolls(request: Request) -> bool:
    return request.segments[-1:] == ["enrollments"] and request.segments[:1] != ["users"]
