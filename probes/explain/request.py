"""A request taken apart, and how a URL is read. Nothing is sent here, and no error tells what was given: it may hold a secret."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from probes.config import HOST, LOOPBACK
from probes.errors import UsageError

Pairs = list[tuple[str, str]]

_VARIABLE = r"(?:\{\{?[^{}/\s]*\}\}?|<[^<>/\s]*>|\$\{?\w+\}?)"
VARIABLE = re.compile(r"\s*(?:[$%<]|\{)")
"""How a value begins that a program, a shell or a reader has yet to put in."""
_VARIABLE_HOST = re.compile(rf"(?:https?://)?{_VARIABLE}(?=[/?]|$)")
"""`{{baseUrl}}`, `https://{host}`, `$CANVAS_URL` where a host belongs."""


@dataclass(slots=True)
class Request:
    """A request taken apart. `origin` is empty for a bare path; `headers` have lower-case names, an empty value is a header taken away.

    `pairs` is the query, decoded; `curl` whether it was a curl line, `insecure` whether that switched verification off, `cookie_file`
    whether it takes cookies from a file; `powershell` whether PowerShell makes it;
    `multipart` whether its body is a form with files; `unquoted` whether a shell would cut the URL
    at an & outside quotes; `within` whether it was found in a longer text; `host_untold` whether a variable stands for its host; `first`
    what its author has to do, as "chosen a word", before there is a right one. `text` is the whole that was given.
    """

    method: str = "GET"
    origin: str = ""
    path: str = "/"
    pairs: Pairs = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    data: list[str] = field(default_factory=list)
    curl: bool = False
    powershell: bool = False
    insecure: bool = False
    cookie_file: bool = False
    multipart: bool = False
    unquoted: bool = False
    within: bool = False
    host_untold: bool = False
    first: str = ""
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
        """The path's parts behind /api/v1, without the `.json` that Canvas takes behind any of them."""
        parts = [part for part in self.path.removesuffix(".json").split("/") if part]
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
        return [value for key, value in self.parameters if key == name]

    @property
    def parameters(self) -> Pairs:
        """All parameters, of the query and of the body as far as it can be read."""
        return [*self.pairs, *(pair for part in self.data for pair in _of_body(part))]


def _of_body(part: str) -> Pairs:
    """The parameters in one piece of a body: a form's, or those of a JSON object, an object within it as `enrollment[type]`."""
    if not part.lstrip().startswith("{"):
        return parse_qsl(part, keep_blank_values=True)
    try:
        document = json.loads(part)
    except (ValueError, RecursionError):
        return []
    return list(_flat(document))


def _flat(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in document.items():
        if isinstance(value, dict):
            yield from ((f"{key}[{name}]", str(inner)) for name, inner in value.items())
        else:
            yield key, str(value)


def with_url(request: Request, text: str) -> Request:
    """Fills origin, path and query from `text`; a word before the first slash that holds a dot or a port is a host.

    Raises UsageError, which tells nothing of `text`.
    """
    text, replaced = _VARIABLE_HOST.subn("", text, count=1) if _VARIABLE_HOST.match(text) else (text, 0)
    request.host_untold = bool(replaced)
    try:
        parts = urlsplit(_whole(text))
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        raise UsageError("This is no URL: its host or its port cannot be read.") from None
    if parts.scheme not in ("", "http", "https"):
        raise UsageError("This is no http address: give one that begins with https://, or a path.")
    if ("://" in text or parts.netloc) and not HOST.match(parts.hostname or ""):
        raise UsageError("This URL names no host.")
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
