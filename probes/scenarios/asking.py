"""What several scenarios share: patience, queries, lists inside answers, calls that overlap."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import unescape
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlsplit

from probes.calls import Call, Round
from probes.dialects.fields import moment
from probes.errors import GuardStop
from probes.observation import NETWORK_OUTCOMES, Observation, Outcome

if TYPE_CHECKING:
    from probes.client import Answer, Client

STOOD_STILL_S, PUT_OFF_S = 0.1, 0.001
"""A call whose turn comes so much too late, s, puts off those after it; from so much on, s, one was put off while it waited."""
REFUSED = frozenset({Outcome.UNAUTHORIZED, Outcome.FORBIDDEN, Outcome.NO_USER_AGENT, Outcome.GATEWAY_ERROR})


@dataclass(slots=True)
class Patience:
    """How long a scenario goes on asking a server that does not answer: `limit` requests in a row that brought nothing."""

    limit: int = 3
    in_vain: int = 0

    def lost(self, observation: Observation) -> bool:
        """Whether to stop: at once after a refusal of the throttle or maintenance, else after `limit` requests in vain."""
        vain = observation.outcome in NETWORK_OUTCOMES or observation.outcome in REFUSED
        self.in_vain = self.in_vain + 1 if vain else 0
        return self.in_vain >= self.limit or observation.outcome in (Outcome.THROTTLED, Outcome.MAINTENANCE)


def get(path: str) -> Call:
    """A GET of `path`."""
    return Call("GET", path)


def with_query(path: str, **changes: object) -> str:
    """`path` with query parameters set, replaced (same name) or, for None, removed."""
    parts = urlsplit(path)
    pairs = [(key, value) for key, value in parse_qsl(parts.query, keep_blank_values=True) if key not in changes]
    pairs += [(key, str(value)) for key, value in changes.items() if value is not None]
    query = "&".join(f"{quote(key, safe='[]')}={quote(value, safe=':,')}" for key, value in pairs)
    return parts.path + (f"?{query}" if query else "")


def items_of(body: Any) -> list[Any] | None:
    """The items of a list answer: the body itself, or the only list in its envelope (`{"sis_imports": [...]}`); None when it is no list."""
    if isinstance(body, list):
        return body
    if isinstance(body, Mapping):
        lists = [value for value in body.values() if isinstance(value, list)]
        return lists[0] if len(lists) == 1 else None
    return None


def records_of(body: Any) -> list[Mapping[str, Any]]:
    """The items of a list answer that are objects."""
    return [item for item in items_of(body) or [] if isinstance(item, Mapping)]


def record_of(body: Any) -> Mapping[str, Any]:
    """The object an answer holds; empty when it holds none."""
    return body if isinstance(body, Mapping) else {}


def scalar(value: Any) -> str | int | float | bool | None:
    """`value` when it is small and plain, else None."""
    return value[:120] if isinstance(value, str) else value if isinstance(value, int | float) else None


def first_id(body: Any) -> str | None:
    """The id of the first item of a list answer that has one."""
    for item in records_of(body):
        if isinstance(item.get("id"), int | str):
            return str(item["id"])
    return None


def segment(text: str) -> str:
    """An id as one segment of a path: all is escaped but the colon of `sis_user_id:7`."""
    return quote(text, safe=":")


def calls_about(paths: Sequence[str], course: str | None) -> list[Call]:
    """GETs of `paths`, `{course}` in them filled in, escaped; without a course those that need none."""
    return [get(path.format(course=segment(course or ""))) for path in paths if course is not None or "{course}" not in path]


def reason_of(answer: Answer) -> dict[str, str]:
    """`{"reason": ...}`: the server's own words on why it does not answer; empty where it has none but that this token may not."""
    words = complaint(answer)
    return {"reason": words} if words and "authorized" not in words.lower() else {}


def _not_as_asked(answer: Answer) -> dict[str, str]:
    """The server's own words where it does not know the call, or cannot make it."""
    return reason_of(answer) if answer.observation.outcome in (Outcome.NOT_FOUND, Outcome.CLIENT_ERROR) else {}


def complaint(answer: Answer) -> str:
    """The server's own words on why it does not answer, the first of them; empty where it answered, or has none."""
    return "" if answer.observation.ok else next(_complaints(record_of(answer.json())), "")


def _complaints(body: Mapping[str, Any]) -> Iterator[str]:
    """Error texts of an answer, in the shapes that Canvas has for them."""
    errors = body.get("errors")
    for one in [*(errors if isinstance(errors, list) else (errors,)), body.get("message"), body.get("error")]:
        text = scalar(record_of(one).get("message") if isinstance(one, Mapping) else one)
        if isinstance(text, str) and text.strip():
            yield text.strip()


_TITLE = re.compile(rb"<title[^>]*>([^<]{1,200})", re.IGNORECASE)


def page_title(answer: Answer) -> str:
    """The title of the web page that came in place of data; empty where none came, or it has none."""
    found = _TITLE.search(answer.body[:20_000]) if answer.observation.facts.get("html") else None
    return "" if found is None else " ".join(unescape(found[1].decode("utf-8", "replace")).split())[:80]


def unreadable(answer: Answer, *, promised: bool) -> str:
    """What came in place of JSON with a status that says all is well, in a few words; empty where it is JSON, or none was `promised`."""
    seen = answer.observation
    if not seen.ok or seen.status != 200 or seen.method != "GET" or answer.json() is not None:
        return ""
    if not answer.body.strip():
        return "nothing"
    if "json" in answer.headers.get("content-type", "").lower():
        return "what is called JSON and is none"
    return "no JSON" if promised else ""


def server_clock_s(answer: Answer) -> float | None:
    """The server's clock by its Date header, seconds since 1970; None where it sends none."""
    when = moment(answer.headers.get("date", ""))
    return None if when is None else when.timestamp()


@dataclass(slots=True)
class _Begun:
    """When a round began, seconds since the run's start; later where this side stood still meanwhile."""

    client: Client
    start_s: float

    async def due_s(self, offset_s: float) -> float:
        """Waits for a call's turn; when that is. Calls that fell due while this side stood still would else go out at one instant."""
        await asyncio.sleep(max(0.0, self.start_s + offset_s - self.client.now()))
        late_s = self.client.now() - self.start_s - offset_s
        if late_s < -PUT_OFF_S:
            return await self.due_s(offset_s)
        self.start_s += late_s if late_s > STOOD_STILL_S else 0.0
        return self.start_s + offset_s


async def together(client: Client, asked: Round, scenario: str) -> list[Observation]:
    """Makes the calls of one round, each `offset_s` after its start; the observations in the order in which the answers came.

    Where this side stood still meanwhile the rest of the round is put off. What is not sent yet stays unsent once an answer was refused,
    fell below `stop_below`, or three in a row brought nothing, and once `most_in_flight` are on their way. Raises GuardStop once those in
    flight have come back: each took its part of the budget, and the longest of them would be missed.
    """
    if asked.after_s > 0.0:
        await asyncio.sleep(asked.after_s)
    begun = _Begun(client, client.now())
    answered: list[Observation] = []
    patience = Patience()
    stopped = asyncio.Event()
    guards: list[GuardStop] = []
    sent = 0

    async def one(offset_s: float, call: Call) -> None:
        nonlocal sent
        due_s = await begun.due_s(offset_s)
        if asked.most_in_flight is not None and sent - len(answered) >= asked.most_in_flight:
            stopped.set()
        if stopped.is_set():
            return
        sent += 1
        try:
            observation = await client.send(call, scenario=scenario, due_s=due_s, note=_not_as_asked)
        except GuardStop as stop:
            guards.append(stop)
            stopped.set()
            return
        answered.append(observation)
        low = asked.stop_below is not None and observation.remaining is not None and observation.remaining < asked.stop_below
        if patience.lost(observation) or low:
            stopped.set()

    try:
        async with asyncio.TaskGroup() as group:
            for offset_s, call in asked.calls:
                group.create_task(one(offset_s, call))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    if guards:
        raise guards[0]
    return answered
