"""A request as a person has it: a URL, a path, 'GET /path' or a whole curl line. Nothing is sent here."""

from __future__ import annotations

import argparse
import json
import re
import shlex
from dataclasses import dataclass, field
from typing import NoReturn
from urllib.parse import parse_qsl, quote, urlsplit

from probes.addresses import without_secrets
from probes.config import HOST, LOOPBACK
from probes.errors import UsageError

Pairs = list[tuple[str, str]]

_DATA_OPTIONS = ("-d", "--data", "--data-raw", "--data-binary", "--data-ascii", "--data-urlencode", "-F", "--form", "--json")
_VALUE_OPTIONS = (
    *("-o", "--output", "-c", "--cookie-jar", "-x", "--proxy", "-m", "--max-time", "-w", "--write-out"),
    *("-D", "--dump-header", "-e", "--referer", "-r", "--range", "-T", "--upload-file", "--retry", "--connect-timeout", "--cacert"),
    *("-K", "--config", "--limit-rate", "-E", "--cert", "--key", "--resolve", "-C", "--continue-at", "--retry-delay"),
)
_FLAGS = (
    *("-s", "--silent", "-S", "--show-error", "-v", "--verbose", "-i", "--include", "-L", "--location", "-f", "--fail", "-g", "--globoff"),
    *("--compressed", "-O", "--remote-name", "-N", "--no-buffer", "-J", "-#", "--progress-bar", "-4", "-6", "--http1.1", "--http2", "-n"),
)
_METHODS = re.compile(r"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)\s+(?=\S)")


@dataclass(slots=True)
class Request:
    """A request taken apart. `origin` is empty for a bare path; `headers` have lower-case names, an empty value is a header taken away.

    `pairs` is the query, decoded; `curl` whether it was a curl line, `insecure` whether that switched verification off, `cookie_file`
    whether it takes cookies from a file; `undecided` whether there is no right one until its author has chosen something.
    """

    method: str = "GET"
    origin: str = ""
    path: str = "/"
    pairs: Pairs = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    data: list[str] = field(default_factory=list)
    curl: bool = False
    insecure: bool = False
    cookie_file: bool = False
    undecided: bool = False
    text: str = ""

    @property
    def url(self) -> str:
        """The request's URL (a path where no host was given), written readably: brackets stay brackets."""
        return self.origin + self.target

    @property
    def target(self) -> str:
        """Path and query."""
        query = "&".join(f"{quote(key, safe='[]')}={quote(value, safe=':,[]')}" for key, value in self.pairs)
        return self.path + (f"?{query}" if query else "")

    @property
    def segments(self) -> list[str]:
        """The path's parts behind /api/v1."""
        parts = [part for part in self.path.split("/") if part]
        return parts[2:] if parts[:1] == ["api"] else parts

    @property
    def reads(self) -> bool:
        """Whether it reads, so that what holds for lists and their pages holds for it."""
        return self.method in ("GET", "HEAD")

    def values(self, name: str) -> list[str]:
        """The values of one query parameter."""
        return [value for key, value in self.pairs if key == name]

    def said(self, name: str) -> list[str]:
        """The values of one parameter, in the query or in the body, be that a form or a JSON object."""
        return [*self.values(name), *(value for part in self.data for key, value in _of_body(part) if key == name)]


def read(text: str) -> Request:
    """The request in `text`. Raises UsageError when there is no URL in it."""
    plain = text.strip().replace("\\\n", " ").replace("^\n", " ")
    words = _words(plain)
    if _is_curl(words):
        return _of_curl(words[1:], plain)
    method = _METHODS.match(plain)
    rest = (plain[method.end() :] if method else plain).strip().strip("'\"<>")
    if not re.search(r"[/.?:]|^localhost$", rest) or re.search(r"\s", rest):
        raise UsageError(f"'{without_secrets(text.strip())}' is no URL and no curl line: give one, in quotes.")
    return _with_url(Request(method=method[1] if method else "GET", text=plain), rest)


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        if _is_curl(text.split()):
            raise UsageError("A quote in this curl line does not end: copy the whole line.") from None
        return text.split()


def _is_curl(words: list[str]) -> bool:
    return bool(words) and words[0].rpartition("/")[2].removesuffix(".exe") == "curl"


def _of_body(part: str) -> Pairs:
    """The parameters in one piece of a body: a form's, or those of a JSON object."""
    if not part.lstrip().startswith("{"):
        return parse_qsl(part, keep_blank_values=True)
    try:
        document = json.loads(part)
    except (ValueError, RecursionError):
        return []
    return [(str(key), str(value)) for key, value in document.items()]


class _Curl(argparse.ArgumentParser):
    """curl's options as far as they change the request; the others are known so that their values are not taken for the URL."""

    def __init__(self) -> None:
        super().__init__(add_help=False, allow_abbrev=False, usage="")
        self.add_argument("-X", "--request")
        self.add_argument("-H", "--header", action="append", default=[])
        self.add_argument("-A", "--user-agent")
        self.add_argument("-G", "--get", action="store_true")
        self.add_argument("-I", "--head", action="store_true")
        self.add_argument("-k", "--insecure", action="store_true")
        self.add_argument("--oauth2-bearer")
        self.add_argument("-u", "--user")
        self.add_argument("-b", "--cookie", action="append", default=[])
        self.add_argument("--url")
        self.add_argument(*_DATA_OPTIONS, dest="data", action="append", default=[])
        for option in _VALUE_OPTIONS:
            self.add_argument(option, dest="ignored")
        for option in _FLAGS:
            self.add_argument(option, dest="ignored", action="store_true")
        self.add_argument("words", nargs="*")

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"This curl line cannot be read: {without_secrets(message)}.")


def _of_curl(words: list[str], text: str) -> Request:
    """The request that a curl line would make."""
    told, unknown = _Curl().parse_known_args(words)
    url = told.url or next((word for word in (*told.words, *unknown) if not word.startswith("-")), None)
    if url is None:
        raise UsageError("There is no URL in this curl line.")
    request = _with_url(Request(curl=True, insecure=told.insecure, text=text), url)
    _with_headers(request, told)
    if told.get:
        request.pairs += [pair for part in told.data for pair in parse_qsl(part, keep_blank_values=True)]
    else:
        request.data = told.data
    request.method = (told.request or ("HEAD" if told.head else "POST" if request.data else "GET")).upper()
    return request


def _with_headers(request: Request, told: argparse.Namespace) -> None:
    """Fills the header fields that a curl line sends; one given by -H stands before the others' own."""
    cookies = [text for text in told.cookie if "=" in text]
    request.cookie_file = len(cookies) < len(told.cookie)
    if cookies:
        request.headers["cookie"] = "; ".join(cookies)
    if told.user is not None:
        request.headers["authorization"] = "Basic"
    if told.oauth2_bearer is not None:
        request.headers["authorization"] = f"Bearer {told.oauth2_bearer}"
    if told.user_agent is not None:
        request.headers["user-agent"] = told.user_agent
    for line in told.header:
        name, _, value = line.partition(":")
        request.headers[name.strip().rstrip(";").lower()] = value.strip()


def _with_url(request: Request, text: str) -> Request:
    """Fills origin, path and query from `text`; a word before the first slash that holds a dot or a port is a host."""
    try:
        parts = urlsplit(_whole(text))
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        raise UsageError(f"'{without_secrets(text)}' is not a URL.") from None
    if parts.scheme not in ("", "http", "https"):
        raise UsageError(f"'{without_secrets(text)}' is not an http address.")
    if ("://" in text or parts.netloc) and not HOST.match(parts.hostname or ""):
        raise UsageError(f"'{without_secrets(text)}' names no host: it is not a URL.")
    if parts.username is not None:
        request.headers["authorization"] = "Basic"
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname or ""
    request.origin = f"{parts.scheme}://{host}{port}" if host else ""
    request.path = parts.path or "/"
    request.pairs += parse_qsl(parts.query, keep_blank_values=True)
    return request


def _whole(text: str) -> str:
    """`text` with a scheme where it has a host, with leading slashes for urlsplit where it has none."""
    first = re.split(r"[/?]", text, maxsplit=1)[0]
    if "://" in text:
        return text
    if text.startswith("/"):
        return "//" + "/" + text.lstrip("/")
    if not ("." in first or ":" in first or first == "localhost"):
        return f"///{text}"
    return f"{'http' if re.match(LOOPBACK.pattern, first.partition(':')[0]) else 'https'}://{text}"
