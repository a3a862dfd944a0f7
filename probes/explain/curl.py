"""A curl line: what a shell makes of it, and the request that it would make."""

from __future__ import annotations

import argparse
import re
import shlex
from typing import NoReturn
from urllib.parse import parse_qsl

from probes.errors import UsageError
from probes.explain.request import Request, with_url

_DATA_OPTIONS = ("-d", "--data", "--data-raw", "--data-binary", "--data-ascii", "--data-urlencode")
_VALUE_OPTIONS = (
    *("-o", "--output", "-c", "--cookie-jar", "-x", "--proxy", "-m", "--max-time", "-w", "--write-out"),
    *("-D", "--dump-header", "-e", "--referer", "-r", "--range", "-T", "--upload-file", "--retry", "--connect-timeout", "--cacert"),
    *("-K", "--config", "--limit-rate", "-E", "--cert", "--key", "--resolve", "-C", "--continue-at", "--retry-delay"),
    *("-U", "--proxy-user", "--pass", "--interface", "--dns-servers", "--retry-max-time", "--keepalive-time", "--ciphers", "--aws-sigv4"),
    *("--doh-url", "--preproxy", "--noproxy", "--socks5", "--socks5-hostname", "--connect-to", "--unix-socket", "--max-redirs"),
)
_FLAGS = (
    *("-s", "--silent", "-S", "--show-error", "-v", "--verbose", "-i", "--include", "-L", "--location", "-f", "--fail", "-g", "--globoff"),
    *("--compressed", "-O", "--remote-name", "-N", "--no-buffer", "-J", "-#", "--progress-bar", "-4", "-6", "--http1.1", "--http2", "-n"),
)
_PIECE = re.compile(r"'[^']*'|\"(?:\\.|[^\"\\])*\"|\\.|.", re.DOTALL)
"""A quoted part, a character behind a backslash, or any other character."""
_URL_WORD = re.compile(
    r"https?://|/|\{\{|\$|api/|localhost|\[|[\w-]+(?:\.[\w-]+)*(?:\.[A-Za-z]{2,24}|\.\d{1,3}|:\d+)(?=[:/?]|$)", re.IGNORECASE
)


def of_curl(text: str) -> Request:
    """The request that the curl line at the start of `text` would make. Raises UsageError, which tells nothing of `text`."""
    line, unquoted = _one_command(text)
    try:
        words = shlex.split(line)
    except ValueError:
        raise UsageError("A quote in this curl line does not end: copy the whole line.") from None
    request = _of_words(words[1:], text)
    request.unquoted = unquoted
    return request


def _one_command(text: str) -> tuple[str, bool]:
    """`text` up to where a shell ends the command, but for an & inside a word, and whether there was such an &."""
    kept, unquoted = "", False
    pieces = [match[0] for match in _PIECE.finditer(text)]
    for piece, after in zip(pieces, [*pieces[1:], " "], strict=True):
        inside = piece == "&" and not kept[-1:].isspace() and not (after.isspace() or after == "&" or kept.endswith("&"))
        if piece in (";", "|", "\n", ")", "&") and not inside:
            break
        unquoted |= inside
        kept += piece
    return kept, unquoted


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
        self.add_argument("-F", "--form", action="append", default=[])
        self.add_argument("--json", action="append", default=[])
        for option in _VALUE_OPTIONS:
            self.add_argument(option, dest="ignored")
        for option in _FLAGS:
            self.add_argument(option, dest="ignored", action="store_true")
        self.add_argument("words", nargs="*")

    def error(self, message: str) -> NoReturn:
        # a value that it names stands in quotes, at the end
        said = message.partition(" '")[0]
        raise UsageError(f"This curl line cannot be read: {said}.")


def _of_words(words: list[str], text: str) -> Request:
    told, unknown = _Curl().parse_known_args(words)
    url = told.url or _url(told.words + unknown)
    if url is None:
        raise UsageError("There is no URL in this curl line.")
    request = with_url(Request(curl=True, insecure=told.insecure, text=text), url)
    _with_headers(request, told)
    if told.get:
        request.pairs += [pair for part in told.data for pair in parse_qsl(part, keep_blank_values=True)]
    else:
        request.data = [*told.data, *told.json, *told.form]
        request.multipart = bool(told.form)
    request.method = (told.request or ("HEAD" if told.head else "POST" if request.data else "GET")).upper()
    return request


def _url(words: list[str]) -> str | None:
    """The word that is the URL: a value of an option that is unknown here may stand before it."""
    whole = (word for word in words if "://" in word and not word.startswith("-"))
    return next(whole, None) or next((word for word in words if _URL_WORD.match(word)), None)


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
    if told.json:
        request.headers["content-type"] = "application/json"
    if told.user_agent is not None:
        request.headers["user-agent"] = told.user_agent
    for line in told.header:
        name, _, value = line.partition(":")
        request.headers[name.strip().rstrip(";").lower()] = value.strip()
