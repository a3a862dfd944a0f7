"""The door of the exporter's server: which TLS is spoken, who may come in, by a web-config file that is read again when it changes.

A file that has become bad changes nothing: the old one holds, and what is wrong is said once.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import os
import secrets
import ssl
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import bcrypt

from probes.errors import ConfigError
from probes.exporter.tls import context
from probes.exporter.webconfig import WebConfig, read
from probes.tokens import redact

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

NOBODY = "$2y$10$" + "." * 53
"""What the password of a name that is not there is compared with: whether a name is known cannot be told by the time it takes."""
MOST_KNOWN = 100
"""Passwords whose answer is remembered."""
LONGEST = 72
"""Bytes of a password that bcrypt sees."""
_Stamps = tuple[tuple[Path, int, int, int], ...]


class Passwords:
    """Whether a password belongs to a hash; bcrypt, which is slow by design, runs once for each pair, and one at a time.

    `check` is what takes so long: whether the password is that of the hash.
    """

    def __init__(self, check: Callable[[bytes, str], bool] | None = None) -> None:
        self._check = check or _fits
        self._salt = secrets.token_bytes(32)
        self._known: dict[bytes, bool] = {}
        self._turn = asyncio.Lock()

    async def fits(self, name: str, password: bytes, known: str | None) -> bool:
        """Whether it is the password of `name`, whose hash is `known` (None: there is nobody of that name)."""
        digest = hashlib.blake2b(b"\0".join([name.encode(), (known or "").encode(), password]), key=self._salt).digest()
        if digest in self._known:
            return self._known[digest]
        async with self._turn:
            if digest not in self._known:  # another request may have asked the same meanwhile
                fits = await asyncio.to_thread(self._check, password, known or NOBODY)
                if len(self._known) >= MOST_KNOWN:
                    del self._known[next(iter(self._known))]
                self._known[digest] = fits and known is not None
            return self._known[digest]


def _fits(password: bytes, known: str) -> bool:
    try:
        return bcrypt.checkpw(password[:LONGEST], known.encode())
    except ValueError:
        return False


class Door:
    """The newest good web-config at `path`, with its TLS. Making it raises ConfigError; `say` hears of every change."""

    def __init__(self, path: Path, say: Callable[[str], None] = lambda _: None) -> None:
        self._path = path
        self._say = say
        self.good = True
        self.passwords = Passwords()
        self._take()

    def _take(self) -> None:
        before = _stamps([self._path])
        config = read(self._path)
        stamps = before + _stamps(() if config.tls is None else config.tls.files)
        self.context: ssl.SSLContext | None = None if config.tls is None else context(config.tls)
        self.config: WebConfig = config
        self._stamps: _Stamps = stamps
        self._tokens, self._counted_s = float(config.burst), time.perf_counter()

    def look(self) -> None:
        """Takes the file anew when it, or a file that it names, has changed."""
        now = _stamps(path for path, *_ in self._stamps)
        if now != self._stamps:
            self._stamps = now
            self.reload()

    def reload(self) -> str | None:
        """Takes the file anew; what is wrong with it, None when nothing is."""
        try:
            self._take()
        except ConfigError as error:
            self.good = False
            wrong = redact(str(error))
            self._say(f"The old web configuration is kept. {wrong}")
            return wrong
        self.good = True
        self._say("Web configuration read again.")
        return None

    def lets_pass(self) -> bool:
        """Whether the rate limit lets one more request pass; counts it."""
        if not self.config.interval_s:
            return True
        now = time.perf_counter()
        self._tokens = min(float(self.config.burst), self._tokens + (now - self._counted_s) / self.config.interval_s)
        self._counted_s = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    async def knows(self, authorization: str) -> bool:
        """Whether an Authorization header names a user with the password that is theirs; anybody where there are no users."""
        users = self.config.users
        if not users:
            return True
        scheme, _, words = authorization.partition(" ")
        try:
            name, colon, password = base64.b64decode(words.strip(), validate=True).partition(b":")
            user = name.decode()
        except (binascii.Error, ValueError):
            return False
        return scheme.lower() == "basic" and bool(colon) and await self.passwords.fits(user, password, users.get(user))


def _stamps(paths: Iterable[Path]) -> _Stamps:
    """What changes when a file does; zeros for one that is not there."""
    found = []
    for path in paths:
        try:
            stat = os.stat(path)  # noqa: PTH116 # for each request; pathlib takes twice as long
            found.append((path, stat.st_mtime_ns, stat.st_size, stat.st_ino))
        except OSError:
            found.append((path, 0, 0, 0))
    return tuple(found)


class Guarded:
    """An ASGI application behind a door: every path needs what the web-config asks for."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app = app
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        from starlette.responses import PlainTextResponse

        self._door.look()
        extra = [(name.lower().encode(), value.encode()) for name, value in self._door.config.headers.items()]

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *extra]
            await send(message)

        if not self._door.lets_pass():
            await PlainTextResponse("Too Many Requests\n", 429)(scope, receive, with_headers)
        elif not await self._door.knows(_authorization(scope)):
            await PlainTextResponse("Unauthorized\n", 401, {"WWW-Authenticate": "Basic"})(scope, receive, with_headers)
        else:
            await self._app(scope, receive, with_headers)


def _authorization(scope: Scope) -> str:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == b"authorization"), "")
