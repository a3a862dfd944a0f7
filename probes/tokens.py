"""Tokens are never told: those that were read, however they are written, and whatever has the shape of a Canvas token."""

from __future__ import annotations

import html
import re

SHAPE = re.compile(r"\d+(?:~|%7[Ee])[A-Za-z0-9]{20,}")
"""A token that Canvas makes."""
LEAST_LENGTH = 8
"""A shorter one is no secret, and would blot out ordinary words."""

_read: dict[str, re.Pattern[str]] = {}


def remembered(token: str) -> str:
    """`token`, which `redact` takes out from now on, whatever its shape."""
    if len(token) >= LEAST_LENGTH and token not in _read:
        _read[token] = re.compile("".join(map(_written, token)))
        # a token that holds another goes first, so that nothing of it is left over
        for known in sorted(_read, key=len, reverse=True):
            _read[known] = _read.pop(known)
    return token


def redact(text: str) -> str:
    """`text` without the tokens that were read, bare or as JSON, URLs and HTML write them, and without all of a Canvas token's shape."""
    for pattern in tuple(_read.values()):  # another thread may read one meanwhile
        text = pattern.sub("[token]", text)
    return SHAPE.sub("[token]", text) if "~" in text or "%7" in text else text


def _written(character: str) -> str:
    """A pattern for one character as it may be written: bare, behind backslashes, as an escape of JSON, URLs or HTML."""
    bare = re.escape(character)
    if character.isalnum():
        return bare
    code = ord(character)
    quoted = "".join(f"%{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))
    entities = "|".join({re.escape(html.escape(character)), f"&#0*{code};", f"&#x0*{code:x};"})
    return rf"(?:\\*{bare}|(?i:\\+u{code:04x}|{quoted}|{entities}))"
