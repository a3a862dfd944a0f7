"""Which faults strike which request: by path, by number, by chance, seeded."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from probes.config import refuse_unknown_keys
from probes.errors import ConfigError
from probes.simulator.settings import Fault
from probes.wording import meant

KINDS: Mapping[str, str] = {
    # before the application, so without X-Request-Context-Id and not charged
    "latency": "the request takes `seconds` longer on its way",
    "stall": "for `seconds` of every `number` seconds (10) nothing moves: requests wait for the end of the stall",
    "reset": "the connection is reset after `seconds`",
    "close": "the connection is closed without an answer after `seconds`",
    "hang": "no answer ever comes",
    "maintenance": "503 with the load balancer's page",
    "edge_error": "a gateway error, status `number` (502), after `seconds`",
    "no_user_agent": "403 of the edge, as without a User-Agent",
    # in the application
    "slow_backend": "work takes `number` times as long (10), the charge grows with it",
    "waiting": "work takes `seconds` longer and is not charged: waiting for something else",
    "unauthorized": "401: the token is no longer valid",
    "unpermitted": "the user may not",
    "server_error": "500 of the application",
    "throttled": "a refusal that has nothing to do with the bucket",
    "added_items": "before each page of a list, `number` new items (1) have come",
    "removed_items": "before each page of a list, `number` more of its first items (1) are gone",
    # on the finished answer
    "header": "`header` says `text`; without a text it is absent",
    "remaining_jump": "X-Rate-Limit-Remaining is off by `number` (600)",
    "no_quota_headers": "X-Request-Cost and X-Rate-Limit-Remaining are absent",
    "redirect": "302 to `text` (a foreign host)",
    "next_self": "the next link is the page itself",
    "next_foreign": "the next link goes to `text` (a foreign host)",
    "next_malformed": "the Link header cannot be parsed",
    "next_corrupt": "the bookmark in the next link cannot be read, so the first page comes again",
    "html": "a page for people in place of JSON",
    "not_json": "a body that is no JSON though it says so",
    "huge_body": "a JSON list of `number` bytes (200 MB), streamed",
    # while sending
    "slow_headers": "the head comes `seconds` late, the bucket was paid already",
    "slow_body": "the body drips over `seconds`",
    "truncated_body": "the connection closes after half of the body",
    "reset_body": "the connection is reset after half of the body",
    "wrong_content_length": "Content-Length is off by `number` (10)",
    "garbage": "no HTTP at all",
}
"""Every kind of fault and what it does; in brackets what a number or text of 0 or nothing means."""


class Faults:
    """The faults switched on, each with its count of the requests it could have struck."""

    def __init__(self, faults: Iterable[Fault], seed: int) -> None:
        self.active: tuple[Fault, ...] = ()
        self._seed = seed
        self.replace(faults)

    def replace(self, faults: Iterable[Fault]) -> None:
        """These and no others from now on; counting starts again."""
        self.active = tuple(checked(fault) for fault in faults)
        self._seen = [0] * len(self.active)
        self._random = random.Random(self._seed + 11)

    def strikes(self, method: str, path: str) -> dict[str, Fault]:
        """The faults that strike this request, by kind; headers by kind and name."""
        if not self.active:
            return {}
        struck = {}
        for place, fault in enumerate(self.active):
            if path.startswith(fault.path) and fault.method in ("", method):
                self._seen[place] += 1
                if self._hits(fault, self._seen[place]):
                    struck[f"header {fault.header}" if fault.kind == "header" else fault.kind] = fault
        return struck

    def _hits(self, fault: Fault, number: int) -> bool:
        if number <= fault.after or (fault.until is not None and number > fault.until):
            return False
        if (number - fault.after) % fault.every:
            return False
        return fault.probability >= 1.0 or self._random.random() < fault.probability


def checked(fault: Fault) -> Fault:
    """`fault` itself. Raises ConfigError when it makes no sense."""
    if fault.kind not in KINDS:
        raise ConfigError(f"There is no fault '{fault.kind}': {meant(fault.kind, KINDS)}")
    if fault.every < 1 or fault.after < 0 or not 0.0 <= fault.probability <= 1.0 or not 0.0 <= fault.seconds < float("inf"):
        raise ConfigError(f"Fault '{fault.kind}': every starts at 1, after and seconds at 0, probability is 0 to 1.")
    if fault.kind == "header" and not fault.header:
        raise ConfigError("Fault 'header' needs the name of a header.")
    if not re.fullmatch(r"[A-Za-z0-9-]*", fault.header) or not re.fullmatch(r"[\t\x20-\x7e\xa0-\xff]*", fault.text):
        raise ConfigError(f"Fault '{fault.kind}': header and text must be such that HTTP can carry them.")
    return fault


def fault_of(table: Any, where: str) -> Fault:
    """The fault that a table of a settings file or a JSON object describes. Raises ConfigError that begins with `where`."""
    if not isinstance(table, dict) or not isinstance(table.get("kind"), str):
        raise ConfigError(f"{where} must be a table with a kind.")
    known = {f.name: f.type for f in fields(Fault)}
    refuse_unknown_keys(table, known, where)
    for key, value in table.items():
        if not _fits(value, str(known[key])):
            raise ConfigError(f"{where}: {key} must be {_WORDS[str(known[key])]}.")
    return checked(Fault(**table))


_WORDS = {"str": "text", "float": "a number", "int": "a whole number", "int | None": "a whole number"}


def _fits(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, str if kind == "str" else (int, float) if kind == "float" else int)
