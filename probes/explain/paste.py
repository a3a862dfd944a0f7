"""The request in what people paste: a URL, a path, 'GET /path', a curl line, raw HTTP, or a line of a program that holds a URL."""

from __future__ import annotations

import re
from urllib.parse import urljoin

from probes.errors import UsageError
from probes.explain.curl import of_curl
from probes.explain.request import Pairs, Request, with_url

NO_URL = "This is no URL and no curl line: give one, in quotes."
_QUOTES = str.maketrans({"\u201c": '"', "\u201d": '"', "\u201e": '"', "\u2018": "'", "\u2019": "'", "\u00a0": " "})
"""Word processors and chats turn quotes and blanks into these."""
_VERB = r"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)"
_CALL = re.compile(rf"{_VERB}\s+(?=\S)")
_CURL = re.compile(r"(?<![\w.:?=&~-])(?:[\w.~-]*[/\\])*curl(?:\.exe)?(?=\s|$)")
_RAW = re.compile(rf"{_VERB}\s+(\S+)\s+HTTP/[\d.]+[ \t]*(?:\r?\n|$)")
_WORD = re.compile(r"[^\s\"'()]*[/.?:][^\s\"'()]*|localhost")
_URL = re.compile(r"(?:https?://|\{\{\w+\}\}/|/?\bapi/v\d)(?:\{+[^{}\s\"']*\}+|\[\w*\]|[^\s\"'<>\\()\[\]{}|^`])*")
_PROGRAM_VERB = re.compile(
    rf"(?:\.|::|-Method\s+|--method=|-X\s+|\bmethod[\"']?\s*[:=]\s*[\"']?|^\s*(?:https?|xh)\s+){_VERB}\b|(?<!\w){_VERB}\(", re.IGNORECASE
)
_PARAMETERS = re.compile(
    r"(?:\b(?:params|query)\s*[=:]\s*(?:\{([^}]*)|(?:list|c)\(([^)]*)|\[([^\]]*))|req_url_query\(([^)]*)|-Body\s+@\{([^}]*))", re.IGNORECASE
)
_PARAMETER = re.compile(r"[\"'`]?([A-Za-z_][\w\[\]]*)[\"'`]?\s*[:=]\s*[\"']?([^\s\"',;=\[\](){}]+)")
_HTTPIE_PARAMETER = re.compile(r"(?<=\s)([A-Za-z_][\w\[\]]*)==(\S+)")
_RELATIVE_PATH = re.compile(r"RelativePath\s*=\s*\"([^\"]*)\"")


def read(text: str) -> Request:
    """The request in `text`. Raises UsageError, which tells nothing of `text`, when there is no URL in it."""
    plain = text.strip().translate(_QUOTES).replace("\\\n", " ").replace("\\\r\n", " ")
    curl = _CURL.search(plain)
    if curl and (curl.start() == 0 or not plain.startswith(("http", "/"))):
        return _of_curl(plain, curl.start())
    raw = _RAW.match(plain)
    if raw:
        return _of_raw(raw[1], raw[2], plain[raw.end() :])
    method = _CALL.match(plain)
    rest = (plain[method.end() :] if method else plain).strip().strip("'\"<>")
    if _whole(rest):
        return with_url(Request(method=method[1] if method else "GET", text=plain), rest)
    return _of_program(plain)


def _whole(text: str) -> bool:
    """Whether all of `text` is one URL or path; one with blanks in its path is."""
    if re.match(r"(?:https?://|/)[^\s\"']+ [^\n\"']*[/?]", text) and text.count("://") <= 1:
        return True
    return _WORD.fullmatch(text) is not None


def _of_curl(plain: str, start: int) -> Request:
    """Of a curl line behind a prompt, an assignment or a loop; one that cannot be read may stand inside a program all the same."""
    line = plain[start:]
    if re.search(r"\^[&\"\n]|\^\r\n", line):  # as Windows' cmd wants it, and as Chrome copies it
        line = re.sub(r"\^(.)", r"\1", re.sub(r"\^\r?\n", " ", line))
    try:
        request = of_curl(line)
    except UsageError:
        if start == 0 or not _URL.search(plain):
            raise
        return _of_program(plain)
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


def _of_program(plain: str) -> Request:
    """A URL inside a line of a program or a document, with the parameters that stand beside it as far as they can be read."""
    found = [match[0].rstrip(".,;:") for match in _URL.finditer(plain)]
    if not found:
        raise UsageError(NO_URL)
    url = next((one for one in found if "/api" in one), found[0])
    relative = _RELATIVE_PATH.search(plain)
    verb = _PROGRAM_VERB.search(plain)
    method = (verb[1] or verb[2]).upper() if verb else "GET"
    request = with_url(Request(method=method, text=plain, within=True), urljoin(url, "/" + relative[1].lstrip("/")) if relative else url)
    known = {key for key, _ in request.pairs}
    request.pairs += [(key, value) for key, value in _beside(plain) if key not in known]
    return request


def _beside(plain: str) -> Pairs:
    """Parameters written beside the URL: HTTPie's `name==value`, `params={...}`, `query = list(...)`, `Query=[...]`."""
    pairs: Pairs = [(key, value.strip("\"'")) for key, value in _HTTPIE_PARAMETER.findall(plain)]
    for group in _PARAMETERS.findall(plain):
        pairs += _PARAMETER.findall("".join(group))
    return pairs
