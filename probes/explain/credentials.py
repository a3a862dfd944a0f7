"""How a request says who sends it: what Canvas reads of that, and what it does not."""

from __future__ import annotations

import re
from collections.abc import Iterator

from probes import tokens
from probes.addresses import is_secret
from probes.explain.request import VARIABLE, Request
from probes.explain.rules import Remark, Weight

SESSION = re.compile(r"(?:^|;)\s*(?:_legacy)?_?(?:normandy|canvas)_session\s*=")
"""The cookie of somebody signed in by a browser."""
LITERAL = re.compile(r"(?=[^\s]*\d)[\w~.+/=-]{16,}")
"""A token itself, whoever made it, rather than a variable or a word that stands for one."""
_GIVEN = re.compile(r"\bBearer\s+([\w~.+/=-]+)")
"""What a program sends as a token."""
_IN_TEXT = Remark(
    "token_in_text",
    Weight.RISKY,
    "The token itself stands in this text: whoever gets the file, or the question that holds it, has the token.",
    "Take it from a variable of the environment, and make a new token where others have seen this one.",
)
IN_THE_URL = ("access_token", "api_key")
"""Where Canvas reads a token in a URL."""


def token_in_url(request: Request) -> Iterator[Remark]:
    """access_token in the query."""
    secrets = [key for key, _ in request.pairs if key in IN_THE_URL]
    if secrets:
        request.pairs = [(key, value) for key, value in request.pairs if key not in secrets]
        yield Remark(
            "token_in_url",
            Weight.WRONG,
            f"{secrets[0]} in the URL ends up in logs and histories, and Canvas leaves it out of the Link header: "
            "the next page is then asked for without a token (401).",
            "Send the header Authorization: Bearer TOKEN instead, and make a new token: this one has been written down.",
        )


def secret_in_url(request: Request) -> Iterator[Remark]:
    """A parameter of the query that carries another secret, by its name."""
    secrets = [key for key, value in request.pairs if value and is_secret(key) and key not in (*IN_THE_URL, "code")]
    if secrets:
        yield Remark(
            "secret_in_url",
            Weight.RISKY,
            f"{secrets[0]} in the URL looks like a secret: URLs end up in logs and histories.",
            "Leave it out, or send it in the body; Canvas takes its token from the header Authorization: Bearer TOKEN.",
        )


def authorization(request: Request) -> Iterator[Remark]:
    """An Authorization header that Canvas does not read, or none."""
    value = request.headers.get("authorization")
    if value is None:
        yield from _without(request)
    elif value.lower().startswith("basic"):
        yield Remark(
            "basic_authorization",
            Weight.WRONG,
            "A user's name and password are sent: the API of Canvas does not read them and answers 401.",
            "Make a token (Account > Settings) and write -H 'Authorization: Bearer TOKEN'.",
        )
    elif VARIABLE.match(value):  # what it holds is not written here
        return
    elif not value.startswith("Bearer "):
        yield Remark(
            "wrong_authorization",
            Weight.WRONG,
            "The Authorization header must be 'Bearer' with a capital B, one blank, and the token: Canvas reads nothing else.",
            "Write -H 'Authorization: Bearer TOKEN'.",
        )
    elif not request.curl and LITERAL.fullmatch(value.removeprefix("Bearer ").strip()):
        yield _IN_TEXT
    elif LITERAL.fullmatch(value.removeprefix("Bearer ").strip()) or tokens.SHAPE.search(request.text):
        yield Remark(
            "token_in_command",
            Weight.RISKY,
            "The token stands in the command line: shell history and process lists show it.",
            "Take it from a variable.",
        )


def _without(request: Request) -> Iterator[Remark]:
    """No Authorization header: a token in the URL or a session's cookie may stand in for it; a program's stand in its text."""
    cookie = request.headers.get("cookie", "")
    if request.within and _told(request.text):
        yield _IN_TEXT
    elif SESSION.search(cookie):
        yield Remark(
            "session_cookie",
            Weight.INFO,
            "The cookie of a browser's session authenticates it, until the session ends; calls that write need X-CSRF-Token as well.",
        )
    elif _all_told(request) and not request.cookie_file and not request.values("access_token") and request.path.startswith("/api/v1"):
        yield Remark(
            "no_authorization",
            Weight.WRONG,
            "No Authorization header is sent: Canvas answers 401.",
            'Add -Headers @{ Authorization = "Bearer $env:CANVAS_API_TOKEN" }.'
            if request.powershell
            else "Add -H 'Authorization: Bearer TOKEN'.",
        )


def _all_told(request: Request) -> bool:
    """Whether all header fields that are sent were read."""
    return request.curl or (request.powershell and not request.within)


def _told(text: str) -> bool:
    """Whether a program's text holds a token itself, by its shape or as what stands behind Bearer."""
    return tokens.SHAPE.search(text) is not None or any(LITERAL.fullmatch(found) for found in _GIVEN.findall(text))
