"""The request in what people paste: a URL, a path, 'GET /path', a curl line, a command of PowerShell, raw HTTP, or a program's line."""

from __future__ import annotations

import re

from probes.errors import UsageError
from probes.explain.curl import of_curl
from probes.explain.powershell import COMMAND, of_powershell
from probes.explain.programs import URL, VERB, of_program
from probes.explain.request import Request, with_url

_QUOTES = str.maketrans({"\u201c": '"', "\u201d": '"', "\u201e": '"', "\u2018": "'", "\u2019": "'", "\u00a0": " "})
"""Word processors and chats turn quotes and blanks into these."""
_CALL = re.compile(rf"{VERB}\s+(?=\S)")
_CURL = re.compile(r"(?<![\w.:?=&~-])(?:[\w.~-]{0,80}[/\\]){0,20}curl(?:\.exe)?(?=\s|$)")
_RAW = re.compile(rf"{VERB}\s+(\S+)\s+HTTP/[\d.]+[ \t]*(?:\r?\n|$)")
_WORD = re.compile(r"[^\s\"'()]*[/.?:][^\s\"'()]*|localhost")


def read(text: str) -> Request:
    """The request in `text`. Raises UsageError, which tells nothing of `text`, when there is no URL in it."""
    plain = text.strip().translate(_QUOTES).replace("\\\n", " ").replace("\\\r\n", " ")
    curl = _CURL.search(plain)
    if curl and (curl.start() == 0 or not plain.startswith(("http", "/"))):
        return _of_curl(plain, curl.start())
    raw = _RAW.match(plain)
    if raw:
        return _of_raw(raw[1], raw[2], plain[raw.end() :])
    if COMMAND.search(plain):
        return of_powershell(plain)
    method = _CALL.match(plain)
    rest = (plain[method.end() :] if method else plain).strip().strip("'\"<>")
    if _whole(rest):
        return with_url(Request(method=method[1] if method else "GET", text=plain), rest)
    return of_program(plain)


def _whole(text: str) -> bool:
    """Whether all of `text` is one URL or path; one with blanks in its path is."""
    if re.match(r"(?:https?://|/)[^\s\"']+ [^\n\"']*[/?]", text) and text.count("://") <= 1:
        return True
    return _WORD.fullmatch(text) is not None


def _of_curl(plain: str, start: int) -> Request:
    """Of a curl line behind a prompt, an assignment or a loop; one that cannot be read may stand inside a program all the same."""
    line = re.sub(r"`\r?\n", " ", plain[start:])  # as PowerShell goes on with a line
    if re.search(r"\^[&\"\n]|\^\r\n", line):  # as Windows' cmd wants it, and as Chrome copies it
        line = re.sub(r"\^(.)", r"\1", re.sub(r"\^\r?\n", " ", line))
    try:
        request = of_curl(line)
    except UsageError:
        if start == 0 or not URL.search(plain):
            raise
        return of_program(plain)
    request.text = plain
    return request


def _of_raw(method: str, target: str, rest: str) -> Request:
    """A request as HTTP writes it: the host stands in a header field, the body behind an empty line."""
    head, _, body = rest.replace("\r\n", "\n").partition("\n\n")
    fields = dict(line.split(":", 1) for line in head.split("\n") if ":" in line)
    headers = {name.strip().lower(): value.strip() for name, value in fields.items()}
    host = headers.pop("host", "")
    url = target if "://" in target or not host else f"https://{host}{target}"
    return with_url(Request(method=method, headers=headers, data=[body] if body else [], text=rest), url)
