"""What is wrong with a path: what was not filled in, its spelling, its version, pages for people in place of the API."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from probes.explain.lists import API_NAMES, is_id, is_known, nearest_name
from probes.explain.request import Request
from probes.explain.rules import Remark, Weight

_NOT_V1 = re.compile(r"/(api|login/oauth2|doc/api|health_check|readiness|deep)\b")
_HALF = re.compile(r"/(?:api/(?P<name>[a-z_]+)|v\d+)(?=/|$)")
"""`/api/courses`, where v1 is missing, and `/v1/courses`, where api is."""
_OF_PAGES: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "announcements": ("discussion_topics", (("only_announcements", "true"),)),
    "gradebook": ("students/submissions", (("student_ids[]", "all"),)),
    "grades": ("enrollments", ()),
    "wiki": ("pages", ()),
}
"""Last word of a course's page -> the API's own for it, with the parameters that it needs."""


def placeholder(request: Request) -> Iterator[Remark]:
    """`:course_id`, `{id}`, `<id>` left from the documentation; in a line of a program they are its variables."""
    found = re.findall(r"/(:[a-z_]+|\{[^}/]*\}|<[^>/]*>|%7B[^/]*%7D)", request.path)
    if request.within:
        found = [one for one in found if not one.startswith("{")]
    if found:
        request.first = "put the id in its place"
        says = f"{', '.join(found)} stands for an id and was not filled in."
        yield Remark("placeholder", Weight.WRONG, says, "Put the number there, or self.")


def slashes(request: Request) -> Iterator[Remark]:
    """Two slashes in a row, as from a base address and a path joined; an id of a school's own may hold them."""
    if "//" in request.path and ":" not in request.path:
        request.path = re.sub(r"/{2,}", "/", request.path)
        says = "There are two slashes in a row in the path: not everything on the way takes them for one."
        yield Remark("slashes", Weight.RISKY, says, "Write one.")


def capitals(request: Request) -> Iterator[Remark]:
    """/API/V1: the server's paths are told apart by case."""
    match = re.match(r"/+api(?:/v\d+)?(?=/|$)", request.path, re.IGNORECASE)
    if match and match[0] != match[0].lower():
        small = match[0].lower()
        request.path = small + request.path[match.end() :]
        yield Remark(
            "capitals", Weight.WRONG, f"Canvas knows no {match[0]}: capitals count in a path, and it answers 404.", f"Write {small}."
        )


def version(request: Request) -> Iterator[Remark]:
    """Any version but v1."""
    match = re.match(r"/+api/v(\d+)(?=/|$)", request.path)
    if match and match[1] != "1":
        request.path = request.path.replace(match[0], "/api/v1", 1)
        yield Remark(
            "wrong_version",
            Weight.WRONG,
            f"There is no version {match[1]} of the REST API: Canvas answers 404 with a web page (HTML), not with JSON. "
            "What answered you with data was v1, or not Canvas.",
            "Use /api/v1.",
        )


def not_api(request: Request) -> Iterator[Remark]:
    """Half of the API's prefix, or a page for people in place of the API."""
    half = _HALF.match(request.path)
    if half and (half["name"] is None or half["name"] in API_NAMES):
        rest = (f"/{half['name']}" if half["name"] else "") + request.path[half.end() :]
        request.path = "/api/v1" + rest
        says = f"{half[0]} is no path of Canvas, which answers 404 with a web page: the API begins with /api/v1."
        yield Remark("half_prefix", Weight.WRONG, says, f"Write /api/v1{rest}.")
    elif request.host_untold and not _NOT_V1.match(request.path) and is_known(request.segments):
        request.path = "/api/v1/" + request.path.lstrip("/")
        yield Remark("prefix_untold", Weight.INFO, "/api/v1 has to stand in the variable, or behind it: it is written behind it here.")
    elif not _NOT_V1.match(request.path) and request.path != "/":
        yield _page(request)


def nothing_asked(request: Request) -> Iterator[Remark]:
    """A host alone, or the prefix alone: where the API is, and nothing that it is asked for."""
    if request.reads and re.fullmatch(r"/(?:api(?:/v1)?/?)?", request.path):
        request.first = "put behind /api/v1 what you ask for"
        says = "This names where the API is, and nothing in it: Canvas has no page of JSON there."
        yield Remark("nothing_asked", Weight.WRONG, says, "Put a path behind it, as /api/v1/courses.")


def slash_in_id(request: Request) -> Iterator[Remark]:
    """A / inside an id of a school's own, which cuts it in two: no name of the API holds a capital, a digit or a dash."""
    parts = request.path.split("/")
    for index, (before, word) in enumerate(pairwise(parts), 1):
        if re.match(r"sis_\w+:", before) and re.search(r"[A-Z\d-]", word):
            parts[index - 1 : index + 1] = [f"{before}%2F{word}"]
            request.path = "/".join(parts)
            yield Remark(
                "slash_in_id",
                Weight.WRONG,
                f"The / in {before}/{word} ends the id: what stands behind it is taken for more of the path.",
                "Write %2F for it.",
            )
            return


def acting_as(request: Request) -> Iterator[Remark]:
    """as_user_id: who may, and what it changes."""
    if request.said("as_user_id"):
        says = (
            "as_user_id acts as that user: it needs the permission to act as users, without which Canvas answers 401 (Invalid as_user_id), "
            "and what is listed is what that user may see. The budget stays that of your token."
        )
        yield Remark("acting_as", Weight.INFO, says)


def _page(request: Request) -> Remark:
    """The remark on a page for people; the request becomes the API's own where that is known."""
    says = "This is a page for people, not the API: a token does not count there, and it answers HTML."
    before, _, last = request.path.rstrip("/").rpartition("/")
    request.path = "/api/v1/" + request.path.lstrip("/")
    if re.fullmatch(r"/courses/[^/]+", before) and last in _OF_PAGES:
        word, pairs = _OF_PAGES[last]
        request.path = f"/api/v1{before}/{word}"
        request.pairs += [pair for pair in pairs if not request.values(pair[0])]
        return Remark("not_api", Weight.WRONG, says, f"The API has {word} for it.")
    if is_known(request.segments):
        return Remark("not_api", Weight.WRONG, says, "Put /api/v1 before it.")
    request.first = "found the API's own path"
    return Remark("not_api", Weight.WRONG, says, "No path of the API is known here for this page: look for it in the API's documentation.")


def names(request: Request) -> Iterator[Remark]:
    """A word of the path that is nearly the name of a list: where such names stand, first and behind an id."""
    if not re.match(r"/api/v1/", request.path):
        return
    parts = request.path.split("/")
    for index, word in enumerate(parts[3:], 3):
        right = nearest_name(word) if index == 3 or is_id(parts[index - 1]) else None
        if right is not None:
            parts[index] = right
            request.path = "/".join(parts)
            says = f"'{word}' is not the name of anything that is known here; '{right}' is the name of a list."
            yield Remark("nearly_a_name", Weight.WRONG, says, f"Write {right}.")
