"""`probes diagnose`: why such a job is slow, stalls or fails: our side, the network, the instance, a limit."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from probes import findings
from probes.addresses import without_secrets
from probes.calls import Call
from probes.config import LOOPBACK, Instance
from probes.diagnosis import KINDS, Cause, Job, Surroundings, failed, remarks
from probes.diagnosis import diagnose as diagnosed
from probes.diagnosis.base import TICK_S
from probes.errors import GuardStop, UsageError
from probes.findings import Finding
from probes.jobs.run import grouped
from probes.jobs.session import Settings, Told, client_for, cut_short, how_ended, open_run, reckoning, run_until, to_raise, write_report
from probes.jobs.terminal import clients_watched_by, progress
from probes.observation import Observation
from probes.rules.causes import FAILED, failures, within
from probes.runs import Run
from probes.scenarios import suspects
from probes.wording import percent

if TYPE_CHECKING:
    from probes.client import Client

Resolve = Callable[[str, int], Awaitable[object]]
"""Finds the addresses of a host and port; tests give their own."""
Kept = tuple[dict[str, Surroundings], list[GuardStop]]
"""What was seen of our side by instance, and the guards that stopped one."""
SCHEMA = "probes.diagnosis/1"
RESOLUTIONS = 3
RESOLVE_TIMEOUT_S = 15.0
LEAST_WELL = 10
"""So many answers show that an instance is well."""
OURS = frozenset({"client", "network", "dns"})
"""Causes that, met at every instance, lie on our side of the way."""


def diagnose(
    settings: Settings, names: list[str], calls: Sequence[Call], workers: int = 1, total: int = 100, timeout_s: float | None = None
) -> tuple[Told, GuardStop | KeyboardInterrupt | None]:
    """Asks the instances of `names` about a job of `total` calls by `workers` workers and names what is wrong.

    Raises UsageError, ConfigError, RunFolderError; a guard or, with --json, an interrupt comes back beside what was found.
    """
    instances = settings.load().pick(names)
    for call in calls:
        if call.writes:
            raise UsageError(f"'{call.name}' writes: a diagnosis repeats calls that read; give one that reads and is as dear.")
    asked = ", ".join(one.name for one in instances)
    most = suspects.budget(max(1, len(calls)))
    settings.say(f"At most {most} requests to each of {asked}, one at a time first, then up to {max(suspects.GROUPS)} together.")
    with open_run(settings, ["diagnose", *(one.name for one in instances)], instances) as folder:
        with progress(settings, "diagnosing", most * len(instances)) as bar:
            kept: Kept = {}, []
            asking = measure(folder, instances, calls, timeout_s, clients_watched_by(bar), kept=kept)
            (around, stops), halt = run_until(settings, folder, asking, kept)
        stop = stops[0] if stops else None
        with reckoning(settings, folder):
            folder.finish(how_ended(halt or stop))
            entries, found = conclude(folder, instances, calls, around, workers, total, timeout_s, halted=cut_short(halt))
    document = {"schema": SCHEMA, "run": folder.place, "instances": entries, "stopped": cut_short(halt or stop)}
    return Told(document, _text(entries, folder), found, folder.unkept), to_raise(halt, folder) or stop


async def measure(
    folder: Run,
    instances: Sequence[Instance],
    calls: Sequence[Call],
    timeout_s: float | None,
    make_client: Callable[[Instance, Run], Client] = client_for,
    *,
    resolve: Resolve | None = None,
    kept: Kept | None = None,
) -> Kept:
    """Asks all instances, those of one origin in turn; what it returns is in `kept` too, as far as it came, when it is cancelled."""
    around, stops = kept or ({}, [])

    async def in_turn(clients: Sequence[Client]) -> None:
        for client in clients:
            await _one(client, calls, timeout_s, around, stops, resolve or _system)

    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(make_client(one, folder)) for one in instances]
        async with asyncio.TaskGroup() as group:
            for sharing in grouped(clients):
                group.create_task(in_turn(sharing))
    return around, stops


async def _one(
    client: Client,
    calls: Sequence[Call],
    timeout_s: float | None,
    around: dict[str, Surroundings],
    stops: list[GuardStop],
    resolve: Resolve,
) -> None:
    lags: list[float] = []
    names, error = await _resolved(client, resolve)
    mine: GuardStop | None = None
    try:
        async with _watch(lags):
            mine = await _observed(client, list(calls) or [Call("GET", client.dialect.self_path)], timeout_s or client.instance.timeout_s)
        stops.extend([mine] if mine is not None else [])
    finally:
        one, ceiling = client.instance, client.instance.max_rate
        seen = Surroundings(tuple(lags), tuple(names), error, client.proxy, ceiling, tokenless=one.token() is None, cut=cut_short(mine))
        around[one.name] = seen


async def _observed(client: Client, calls: Sequence[Call], timeout_s: float) -> GuardStop | None:
    """Makes the experiment; the guard that stopped it, if one did."""
    stopped: list[BaseException] = []
    try:
        async for _ in suspects.observe(client, calls, timeout_s):
            pass
    except* GuardStop as errors:
        stopped.extend(errors.exceptions)
    return next((error for error in stopped if isinstance(error, GuardStop)), None)


@contextlib.asynccontextmanager
async def _watch(lags: list[float]) -> AsyncIterator[None]:
    """Notes how late our own loop wakes while the block runs."""
    loop = asyncio.get_running_loop()

    async def tick() -> None:
        while True:
            start = loop.time()
            await asyncio.sleep(TICK_S)
            lags.append(max(0.0, loop.time() - start - TICK_S))

    ticking = asyncio.create_task(tick())
    try:
        yield
    finally:
        ticking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await ticking


async def _system(host: str, port: int) -> object:
    return await asyncio.get_running_loop().getaddrinfo(host, port)


async def _resolved(client: Client, resolve: Resolve) -> tuple[list[float], str | None]:
    """How long the host's name takes to resolve, a few times, and why it did not; nothing for addresses, loopback, or behind a proxy."""
    parts = urlsplit(client.instance.url)
    host = parts.hostname or ""
    if (resolve is _system and (LOOPBACK.match(host) or _is_address(host))) or client.proxy is not None:
        return [], None
    loop = asyncio.get_running_loop()
    times: list[float] = []
    for _ in range(RESOLUTIONS):
        start = loop.time()
        try:
            async with asyncio.timeout(RESOLVE_TIMEOUT_S):
                await resolve(host, parts.port or 443)
        except (OSError, UnicodeError) as error:
            return times, f"{host}: {error.strerror or error}" if isinstance(error, OSError) else f"{host} is no name"
        except TimeoutError:
            return times, f"{host}: no answer within {RESOLVE_TIMEOUT_S:g} s"
        times.append(loop.time() - start)
    return times, None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def conclude(
    folder: Run,
    instances: Sequence[Instance],
    calls: Sequence[Call],
    around: dict[str, Surroundings],
    workers: int,
    total: int,
    timeout_s: float | None,
    halted: str | None = None,
) -> tuple[list[dict[str, Any]], list[Finding]]:
    """Causes and findings of the run, noted in its manifest, and its report written; `halted` is why it was not finished."""
    from probes.dialects import dialect

    observations = list(folder.observations())
    entries = []
    for one in instances:
        mine = [o for o in observations if o.instance == one.name]
        asked = tuple(without_secrets(call.name) for call in calls) or (f"GET {dialect(one.dialect).self_path}",)
        job = Job(asked, workers, total, timeout_s or one.timeout_s)
        seen = dataclasses.replace(around.get(one.name, Surroundings()), well=_well(observations, instances, one))
        causes = [cause.document() for cause in diagnosed(mine, job, seen)]
        cut = [why for why in (halted or seen.cut,) if why]
        told = {
            "causes": causes,
            "n": len(mine),
            "span_s": _span_s(mine),
            "failed": failed(mine, job),
            "remarks": [*cut, *remarks(mine, job)],
        }
        entries.append({"instance": one.name, **told})
    found = findings.judge(observations, causes=entries, facts=folder.manifest)
    folder.keep(diagnosis=entries, findings=[finding.document() for finding in found])
    write_report(folder)
    return entries, found


def _span_s(observations: Sequence[Observation]) -> float:
    """Seconds from the first request to the last answer: what comes in spells may have passed by."""
    ends = [end_s for o in observations for end_s in (o.sent_s, o.received_s) if end_s is not None]
    return round(max(ends) - min(ends), 1) if ends else 0.0


def _well(observations: Sequence[Observation], instances: Sequence[Instance], asking: Instance) -> tuple[str, ...]:
    """The other instances that answered all calls made with the token meanwhile."""
    called = [o for o in observations if o.facts.get("phase") != "health"]
    others = {one.name: [o for o in called if o.instance == one.name] for one in instances if one.name != asking.name}
    return tuple(name for name, seen in others.items() if len(seen) >= LEAST_WELL and all(o.ok for o in seen))


def _text(entries: Sequence[dict[str, Any]], folder: Run) -> str:
    lines = []
    for entry in entries:
        if not entry["causes"]:
            lines.append(f"{entry['instance']}: {no_cause(entry)}")
            lines += [f"    {FAILED}"] if failures(entry) else []
        for cause in entry["causes"]:
            lines.append(f"{entry['instance']}: {cause['kind']} ({percent(cause['confidence'])}): {cause['says']}")
            lines += [f"    {line}" for line in cause["evidence"]]
            lines.append(f"    {cause['advice']}")
        lines += [f"    {line}" for line in entry["remarks"]]
    return "\n".join([*lines, *where(entries), "", f"Report: {folder.folder / 'report.html'}"])


def no_cause(entry: dict[str, Any]) -> str:
    """The sentence of an instance without a cause: whether nothing is wrong, calls failed all the same, or not all could be known."""
    bad = failures(entry)
    if bad:
        return f"no cause found, though {bad}."
    if entry["remarks"]:
        return f"no cause found by {entry['n']} observations."
    return f"nothing is wrong with such a job by {entry['n']} observations{within(entry)}."


def where(entries: Sequence[dict[str, Any]]) -> list[str]:
    """My end, this instance, or every instance? One sentence when several were asked and something is wrong."""
    kinds = {entry["instance"]: {cause["kind"]: KINDS[cause["kind"]] for cause in entry["causes"]} for entry in entries}
    failing = {entry["instance"] for entry in entries if entry.get("failed")}
    if len(kinds) < 2 or not any(kinds.values()):
        return []
    common = set.intersection(*map(set, kinds.values()))
    if common & OURS:
        return [f"Every instance shows {', '.join(sorted(common & OURS))}: look on this side first."]
    if common:
        return [f"Every instance shows {', '.join(sorted(common))}."]
    return [f"Not every instance is alike: {'; '.join(_stands(name, found, name in failing) for name, found in kinds.items())}."]


def _stands(name: str, found: Mapping[str, str], failing: bool) -> str:
    """How one instance stands beside the others; `found` is kind -> what it means."""
    if found:
        return f"{name}: {', '.join(f'{kind} ({means})' for kind, means in sorted(found.items()))}"
    return f"{name}: calls failed, no cause found" if failing else f"{name} is well"


__all__ = ["Cause", "conclude", "diagnose", "measure", "where"]
