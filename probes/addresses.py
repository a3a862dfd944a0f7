"""URLs as people and servers write them: secrets taken out, origins compared, paths taken off."""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit

from probes.tokens import redact

_NAMES = (
    "access_token api_key apikey key token secret password passwd pwd client_secret refresh_token id_token code code_verifier "
    "assertion client_assertion signature sig jwt session_token authorization verifier"
).replace(" ", "|")
_SECRET_NAME = re.compile(rf"(?:\w+\[)?(?:{_NAMES})\]?", re.IGNORECASE)
_SECRET = re.compile(rf"([?&](?:\w+(?:\[|%5b))?(?:{_NAMES})(?:\]|%5d)?=)[^&#\s]*", re.IGNORECASE)
_PORTS = {"http": 80, "https": 443}
_UNSENDABLE = re.compile("[\0-\x1f\x7f\ud800-\udfff]")
LONGEST_PATH = 200
LONGEST = 65_000
"""Characters of a URL: httpx takes no longer one, and no server that is known."""


def is_secret(name: str) -> bool:
    """Whether a parameter of that name carries a secret: access_token, key, client_secret, pseudonym[password] ..."""
    return _SECRET_NAME.fullmatch(name) is not None


def without_secrets(text: str) -> str:
    """`text` with the values of parameters that carry secrets replaced, and everything of a token's shape."""
    return redact(_SECRET.sub(r"\1[redacted]", text))


def origin(url: str) -> str | None:
    """Scheme, host and port of an http(s) URL, the usual port left out; None when it is none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + ("" if port in (None, _PORTS[parts.scheme]) else f":{port}")


def unsendable(url: str) -> str | None:
    """Why no request line can hold `url`, a few words; None where one can."""
    if len(url) > LONGEST:
        return f"is {len(url):,} characters long"
    return "holds control characters" if _UNSENDABLE.search(url) else None


def led_to(base: str, location: str | None) -> str:
    """Where a redirect seen at `base` leads: another origin, else the path there, without its query, which may hold secrets.

    `nowhere` without a Location, `no URL` where that is none.
    """
    if location is None:
        return "nowhere"
    try:
        url = urljoin(base, location)
        there = origin(url)
    except ValueError:
        there = None
    if there is None:
        return "no URL"
    return without_secrets(urlsplit(url).path or "/")[:LONGEST_PATH] if there == origin(base) else there


def target(url: str) -> str:
    """Path and query of a URL, as a request line has them."""
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
