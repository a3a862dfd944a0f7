"""Client.send: one request, one Observation. It never raises for the network, never retries, never follows, never keeps a cookie.

Order of one request: ceilings, a slot, the rate, the limiter, then the wire. All waiting before the wire is our own: `pool_s`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import httpx

from probes import __version__
from probes.addresses import led_to, without_secrets
from probes.calls import Call
from probes.ceilings import Ceilings
from probes.config import Instance
from probes.dialects import Dialect, dialect
from probes.dialects.foreign import foreign_budget, unread_budget
from probes.dialects.links import links
from probes.dialects.outcomes import is_page
from probes.errors import UsageError
from probes.exchange import Exchange
from probes.observation import Observation, Outcome, Quota
from probes.phases import Phases
from probes.tokens import redact
from probes.transport import Connect, Slots, without_credentials

if TYPE_CHECKING:
    from probes.limiter import Limiter

USER_AGENT = f"canvas-probes/{__version__} (+latency and rate-limit probe; python-httpx/{httpx.__version__})"
START_OF_BODY = 4096
MOST_URLS = 200

Note = Callable[["Answer"], Mapping[str, Any]]
"""What a scenario notes of an answer: small scalars by name."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One observation with what came back: `headers` with lower-case names, `body` decoded and up to the cap, the `url` that was asked."""

    observation: Observation
    headers: Mapping[str, str]
    body: bytes
    url: str = ""

    def json(self) -> Any:
        """The parsed body, None when it is not JSON."""
        text = self.body.removeprefix(b"while(1);")
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return None

    @property
    def links(self) -> Mapping[str, str]:
        """Relation (lower case) -> absolute URL, from the Link header."""
        return links(self.headers, self.url)


class Client:
    """Asks one instance; an async context manager, one per instance and process. Clock: the running loop's.

    `record` gets every observation exactly once, `on_answer` the same afterwards (guards raise there). `transport` is for applications in
    this process and for tests; `connect` makes connections in place of httpx's, but for those through a proxy. Making it raises
    ConfigError when the instance's token or proxy cannot be used.
    """

    def __init__(
        self,
        instance: Instance,
        *,
        record: Callable[[Observation], None] | None = None,
        limiter: Limiter | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        origin_s: float | None = None,
        max_body_bytes: int = 50_000_000,
        on_answer: Callable[[Observation], None] | None = None,
        connect: Connect | None = None,
    ) -> None:
        self.instance = instance
        self.dialect: Dialect = dialect(instance.dialect)
        self.requests = 0
        self._sinks = [sink for sink in (record, on_answer) if sink is not None]
        self._limiter = limiter
        self._origin_s = origin_s
        self._max_body_bytes = max_body_bytes
        self._ceilings = Ceilings(instance)
        self._slots = Slots(instance, instance.max_in_flight, transport, connect)
        self._urls: dict[str, httpx.URL] = {}
        self._secure = instance.url.startswith("https:") and transport is None
        token = instance.token()
        said = {
            "Host": urlsplit(instance.url).netloc,
            "User-Agent": USER_AGENT,
            "Accept-Encoding": "gzip, deflate",
            "Accept": self.dialect.accept,
        }
        named = {} if token is None else {"Authorization": self.dialect.authorization.format(token=token)}
        self._tokenless = token is None
        self._anonymous, self._authorized = httpx.Headers(said), httpx.Headers({**said, **named})

    @property
    def proxy(self) -> str | None:
        """The proxy that requests go through, without credentials; None when there is none."""
        proxy = self._slots.proxy
        return None if proxy is None else without_credentials(proxy)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._slots.close()

    def now(self) -> float:
        """Seconds since the run's start; the first use is the start unless `origin_s` (the loop's time) was given."""
        now = asyncio.get_running_loop().time()
        if self._origin_s is None:
            self._origin_s = now
        return now - self._origin_s

    async def send(
        self,
        call: Call,
        *,
        scenario: str,
        due_s: float | None = None,
        timeout_s: float | None = None,
        cold: bool = False,
        note: Note | None = None,
        authorized: bool = True,
        name: str | None = None,
    ) -> Observation:
        """As `ask`, the observation alone."""
        answer = await self.ask(
            call, scenario=scenario, due_s=due_s, timeout_s=timeout_s, cold=cold, note=note, authorized=authorized, name=name
        )
        return answer.observation

    async def ask(
        self,
        call: Call,
        *,
        scenario: str,
        due_s: float | None = None,
        timeout_s: float | None = None,
        cold: bool = False,
        note: Note | None = None,
        authorized: bool = True,
        name: str | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Answer:
        """Sends `call` once and tells what was seen; `cold` takes a new connection, `name` is how observations name the call.

        `facts` are noted also where no answer comes. `due_s` is when its schedule wanted it; a call without one is due when ceilings and
        slots let it go, so that none of our own waiting is taken for the server's. `timeout_s` (the instance's by default) bounds the wait
        for the header and again for the whole body, so that a dripping server ends.
        Raises UsageError when the call may not be sent, GuardStop when `max_requests` are spent; the network only makes outcomes.
        """
        asked_s = self.now()
        request = self._request(call, authorized=authorized)
        self._ceilings.admit(call)
        exchange = Exchange(str(request.url), authorized=authorized)
        wait_s = self.instance.timeout_s if timeout_s is None else timeout_s
        async with self._slots.slot(cold=cold) as slot:
            await self._ceilings.pace()
            ticket = None if self._limiter is None else await self._limiter.acquire_async()
            exchange.pool_s, exchange.new = self.now() - asked_s, cold or not slot.used
            try:
                self.requests += 1
                await exchange.run(request, slot, wait_s, self._max_body_bytes)
            finally:
                slot.used = True
                answer = self._seen(call, exchange, scenario, asked_s + exchange.pool_s if due_s is None else due_s, name)
                answer.observation.facts.update(facts or {})
                self._release(ticket, answer.observation)
                if answer.observation.outcome is not Outcome.CANCELLED or answer.observation.sent_s is not None:
                    answer = self._recorded(answer, note)
        return answer

    def _request(self, call: Call, *, authorized: bool) -> httpx.Request:
        if not call.path.startswith("/"):
            raise UsageError(f"'{call.name}' is not a call: its path must begin with /.")
        headers = self._authorized if authorized else self._anonymous
        try:
            url = self._url(call.path)
            body = None if call.body is None else json.dumps(call.body).encode()
            if body is not None:
                headers = httpx.Headers([*headers.raw, (b"Content-Type", b"application/json")])
            return httpx.Request(call.method, url, headers=headers, content=body)
        except (httpx.InvalidURL, ValueError) as error:
            raise UsageError(redact(f"'{call.name[:200]}' cannot be sent: {error}.")) from None

    def _url(self, path: str) -> httpx.URL:
        """Parsed once for each path: that takes longer than the rest of a request. Raises httpx.InvalidURL, ValueError."""
        if path not in self._urls:
            if len(self._urls) >= MOST_URLS:
                self._urls.clear()
            self._urls[path] = httpx.URL(self.instance.url + path)
        return self._urls[path]

    def _seen(self, call: Call, exchange: Exchange, scenario: str, due_s: float, name: str | None) -> Answer:
        trace = exchange.trace
        origin = self._origin_s or 0.0
        outcome, error = self._outcome(exchange)
        sent = None if trace is None else trace.sent
        quota = self.dialect.quota(exchange.headers)
        account = self.dialect.server(exchange.headers)
        phases = Phases() if trace is None else trace.phases(cold=exchange.new, secure=self._secure)
        observation = Observation(
            instance=self.instance.name,
            scenario=scenario,
            call=without_secrets(name or call.name),
            method=call.method,
            path=without_secrets(call.path),
            due_s=due_s,
            sent_s=None if sent is None else sent - origin,
            received_s=None if exchange.status is None or trace is None or trace.received is None else trace.received - origin,
            status=exchange.status,
            outcome=outcome,
            remaining=quota.remaining,
            cost=quota.cost,
            limit=quota.limit,
            reset_s=quota.reset_s,
            retry_after_s=quota.retry_after_s,
            server_time_s=account.server_time_s,
            queue_s=account.queue_s,
            cpu_s=account.cpu_s,
            db_s=account.db_s,
            request_id=account.request_id,
            pool_s=exchange.pool_s,
            connect_s=phases.connect_s,
            tls_s=phases.tls_s,
            send_s=phases.send_s,
            wait_s=phases.wait_s,
            receive_s=phases.receive_s,
            reused=phases.reused,
            size_bytes=None if exchange.status is None else len(exchange.body),
            error=error,
            facts=self._facts(exchange, outcome, quota),
        )
        return Answer(observation, exchange.headers, exchange.body, exchange.url)

    def _outcome(self, exchange: Exchange) -> tuple[Outcome, str | None]:
        """What the server said counts before what broke afterwards: a refusal cut short is still a refusal."""
        if exchange.status is None or exchange.failed is Outcome.CANCELLED:
            return exchange.failed or Outcome.PROTOCOL_ERROR, exchange.error
        said = self.dialect.outcome(exchange.status, exchange.headers, exchange.body[:START_OF_BODY])
        if exchange.failed is not None and said in (Outcome.OK, Outcome.PROTOCOL_ERROR):
            return exchange.failed, exchange.error
        if said is Outcome.PROTOCOL_ERROR and exchange.error is None:
            return said, "a web page (HTML) came in place of JSON: a login page, or something between here and the server answered"
        return said, exchange.error

    def _facts(self, exchange: Exchange, outcome: Outcome, quota: Quota) -> dict[str, Any]:
        """`window_s` (null where no header tells it) stands where Remaining counts in a window and is no level.

        `budget_of` and `budget_headers` stand where the budget headers are another dialect's, `budget_unread` where one holds no number,
        `no_token` where a token was wanted and none sent: `none configured`, or `none sent` as the page is a public one.
        """
        foreign = foreign_budget(self.dialect, exchange.headers, quota)
        facts: dict[str, Any] = dict(foreign or unread_budget(exchange.headers, quota))
        if quota.remaining is not None and not self.dialect.levels and not facts:
            facts["window_s"] = quota.window_s
        if exchange.status is not None and is_page(exchange.headers, exchange.body):
            facts["html"] = True
        if outcome is Outcome.REDIRECTED:
            facts["location"] = led_to(self.instance.url, exchange.headers.get("location"))
        if outcome is Outcome.UNAUTHORIZED and (self._tokenless or not exchange.authorized):
            facts["no_token"] = "none configured" if exchange.authorized else "none sent"
        if exchange.failed is not None and exchange.trace is not None and exchange.trace.sent is not None:
            facts["gave_up_after_s"] = round(asyncio.get_running_loop().time() - exchange.trace.sent, 6)
        return facts

    def _release(self, ticket: Any, observation: Observation) -> None:
        if self._limiter is None:
            return
        self._limiter.release(
            ticket,
            cost=observation.cost,
            remaining=observation.remaining,
            refused=observation.outcome is Outcome.THROTTLED,
            retry_after_s=observation.retry_after_s,
            lost=observation.status is None,
        )

    def _recorded(self, answer: Answer, note: Note | None) -> Answer:
        try:
            if note is not None and answer.observation.status is not None:
                answer.observation.facts.update(note(answer))
        finally:
            for sink in self._sinks:
                sink(answer.observation)
        return answer
