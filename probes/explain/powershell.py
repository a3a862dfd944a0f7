"""A request as PowerShell makes it: Invoke-WebRequest or Invoke-RestMethod, written by hand or copied from a browser "as PowerShell"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlencode

from probes.explain.programs import of_program
from probes.explain.request import Pairs, Request

COMMAND = re.compile(r"(?<![\w/.?&=-])(?:Invoke-WebRequest|Invoke-RestMethod|iwr|irm)(?![\w-])", re.IGNORECASE)
_STRING = r"(?:\"(?:`.|\"\"|[^\"`])*\"|'(?:''|[^'])*')"
_TABLE = rf"@\{{((?:{_STRING}|[^\"'{{}}])*)\}}"
_PAIR = re.compile(rf"({_STRING}|[\w-]+)\s*=[\s(]*({_STRING}|[^;\n]+)", re.DOTALL)
_COOKIE = re.compile(rf"System\.Net\.Cookie\(\s*({_STRING})\s*,\s*({_STRING})", re.IGNORECASE | re.DOTALL)
_SPLATTED = re.compile(r"\s@\w")
"""A table of options that is written elsewhere: `@params`."""
_BROWSERS_OWN = frozenset({"authority", "method", "path", "scheme"})
"""Fields of HTTP/2 that Chrome writes among the headers."""


def of_powershell(plain: str) -> Request:
    """The request of the command in `plain`: its URL as of any program, its method, header fields and body as PowerShell sends them.

    Raises UsageError where there is no URL.
    """
    text = re.sub(r"`\r?\n", " ", plain)
    request = of_program(text)
    request.text, request.powershell = plain, True
    method = _argument(text, "Method")
    request.method = (method or "GET").upper()
    table = _table(text, "Headers")
    request.within = (table is None and _given(text, "Headers")) or _SPLATTED.search(text) is not None
    request.headers.update({key.lower(): value for key, value in table or () if key.lower() not in _BROWSERS_OWN})
    _with_the_rest(request, text)
    _with_body(request, text)
    return request


def _with_the_rest(request: Request, text: str) -> None:
    """Header fields that options of their own make."""
    kind, agent = _argument(text, "ContentType"), _argument(text, "UserAgent")
    if kind is not None:
        request.headers["content-type"] = kind
    if agent is not None:
        request.headers["user-agent"] = agent
    if (_argument(text, "Authentication") or "").lower() in ("bearer", "oauth"):
        request.headers["authorization"] = "Bearer $token"
    cookies = [f"{_plain(name)}={_plain(value)}" for name, value in _COOKIE.findall(text)]
    if cookies:
        request.headers["cookie"] = "; ".join(cookies)
    # a session that was made elsewhere may hold cookies
    request.cookie_file = not cookies and _given(text, "WebSession")


def _with_body(request: Request, text: str) -> None:
    """A table becomes the query of a read and the form of a write; a string is sent as it is."""
    table = _table(text, "Body")
    if table is not None and not request.reads:
        of_table = {key for key, _ in table}
        request.pairs = [(key, value) for key, value in request.pairs if key not in of_table]
        request.data = [urlencode(table)]
    elif table is None and (body := _argument(text, "Body")) is not None and not body.startswith("$"):
        request.data = [body]


def _given(text: str, option: str) -> bool:
    return re.search(rf"\s-{option}\b", text, re.IGNORECASE) is not None


def _argument(text: str, option: str) -> str | None:
    """The string or the word behind `-option`; None where it is not there, or a table stands there."""
    found = re.search(rf"\s-{option}[\s:]+({_STRING}|[^\s@;|()]+)", text, re.IGNORECASE | re.DOTALL)
    return None if found is None else _plain(found[1])


def _table(text: str, option: str) -> Pairs | None:
    """The pairs of the table behind `-option`, or of the variable that stands there; None where neither is written in `text`."""
    name = re.search(rf"\s-{option}[\s:]+\$(\w+)", text, re.IGNORECASE)
    before = rf"\${name[1]}\s*=\s*" if name else rf"\s-{option}[\s:]+"
    found = re.search(before + _TABLE, text, re.IGNORECASE | re.DOTALL)
    return None if found is None else list(_pairs(found[1]))


def _pairs(inner: str) -> Iterator[tuple[str, str]]:
    for key, value in _PAIR.findall(inner):
        yield _plain(key), _plain(value.strip())


def _plain(word: str) -> str:
    """What a string says: a backtick or a doubled quote stands for the character itself."""
    if word[:1] == '"':
        return re.sub(r"`(.)|\"\"", lambda match: match[1] or '"', word[1:-1], flags=re.DOTALL)
    return word[1:-1].replace("''", "'") if word[:1] == "'" else word
