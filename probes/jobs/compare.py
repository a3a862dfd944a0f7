"""`probes compare`: latency of the same calls, interleaved in randomised blocks, with intervals."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from probes import compare as comparing
from probes import findings
from probes.calls import Call
from probes.config import Instance
from probes.errors import CredentialsError, GuardStop, UsageError
from probes.findings import Finding
from probes.jobs.session import (
    Settings,
    Told,
    client_for,
    credentials_refused,
    cut_short,
    how_ended,
    open_run,
    reckoning,
    run_until,
    to_raise,
    write_report,
)
from probes.jobs.terminal import clients_watched_by, progress
from probes.runs import Run
from probes.scenarios.asking import Patience, get, record_of, scalar

if TYPE_CHECKING:
    from probes.client import Answer, Client

SCHEMA = "probes.compare/1"
WARM_PAIRS = 190
"""Pairs by default: with the cold ones and the health page 199 requests to each; finds 20 % at a spread of 0.5 nine times in ten."""
COLD_PAIRS = 8


def compare(
    settings: Settings, names: list[str], calls: Sequence[Call], repeat: int | None
) -> tuple[Told, GuardStop | CredentialsError | KeyboardInterrupt | None]:
    """Asks the instances of `names` the same calls in turn and tells how their times differ.

    Raises UsageError for fewer than two instances or a call that writes; a guard or refused credentials come back beside what was found.
    """
    instances = settings.load().pick(names)
    _refuse(instances, names, calls)
    blocks = plan(repeat or WARM_PAIRS)
    asked = sum(1 for _ in blocks)
    kinds = max(1, len(calls))
    settings.say(
        f"At most {asked * kinds + 1} requests to each of "
        f"{', '.join(one.name for one in instances)}: {asked} pairs of each call and the health page."
    )
    ended: list[str] = []

    def say(why: str) -> None:
        ended.append(why)
        settings.say(why)

    with open_run(settings, ["compare", *(one.name for one in instances)], instances) as folder:
        with progress(settings, "comparing", len(instances) * (asked * kinds + 1)) as bar:
            asking = measure(folder, instances, list(calls), blocks, say, clients_watched_by(bar))
            stop, halt = run_until(settings, folder, asking, None)
        refused = _refused(folder)
        with reckoning(settings, folder):
            folder.finish(how_ended(halt or stop or refused))
            pairs, found = conclude(folder)
    document = {"schema": SCHEMA, "run": folder.place, "pairs": pairs, "stopped": cut_short(halt or stop) or next(iter(ended), None)}
    text = "\n".join([*_lines(pairs), "", f"Report: {folder.folder / 'report.html'}"])
    return Told(document, text, found, folder.unkept), to_raise(halt, folder) or stop or refused


def _refuse(instances: Sequence[Instance], names: list[str], calls: Sequence[Call]) -> None:
    if len({one.name for one in instances}) < 2 or len(set(names)) != len(names):
        raise UsageError("A comparison needs two instances: name each once with -i.")
    if len({one.dialect for one in instances}) > 1 and not calls:
        raise UsageError("These instances speak different dialects: say with --call what to ask both.")
    for call in calls:
        if call.writes:
            raise UsageError(f"'{call.name}' writes: a comparison repeats calls that read.")


def plan(repeat: int) -> list[bool]:
    """One entry for each block, True for a cold one; the cold ones spread by chance."""
    blocks = [True] * min(COLD_PAIRS, repeat) + [False] * repeat
    random.Random(1).shuffle(blocks)
    return blocks


def orders(names: Sequence[str], blocks: int) -> Iterator[list[str]]:
    """For each block the instances in an order drawn anew, so that a drift meets all alike."""
    source = random.Random(2)
    for _ in range(blocks):
        yield source.sample(list(names), len(names))


async def measure(
    folder: Run,
    instances: Sequence[Instance],
    calls: list[Call],
    blocks: list[bool],
    say: Callable[[str], None],
    make_client: Callable[[Instance, Run], Client] = client_for,
) -> GuardStop | None:
    """Asks block after block; the guard that stopped it, if one did. An instance that does not answer ends the comparison."""
    async with contextlib.AsyncExitStack() as stack:
        clients = {one.name: await stack.enter_async_context(make_client(one, folder)) for one in instances}
        asked = calls or [get(next(iter(clients.values())).dialect.self_path)]
        try:
            await _revisions(list(clients.values()))
            await _blocks(clients, asked, blocks, say)
        except GuardStop as stop:
            return stop
    return None


async def _revisions(clients: Sequence[Client]) -> None:
    async with asyncio.TaskGroup() as group:
        for client in clients:
            if client.dialect.health_path is not None:
                call = get(client.dialect.health_path)
                group.create_task(client.ask(call, scenario=comparing.SCENARIO, authorized=False, note=_revision))


def _revision(answer: Answer) -> dict[str, Any]:
    revision = scalar(record_of(answer.json()).get("revision"))
    return {} if revision is None else {"revision": revision}


async def _blocks(clients: dict[str, Client], calls: list[Call], blocks: list[bool], say: Callable[[str], None]) -> None:
    patience = {name: Patience() for name in clients}
    source = random.Random(len(blocks))
    for number, (cold, order) in enumerate(zip(blocks, orders(list(clients), len(blocks)), strict=True)):
        facts = {"block": number, "cold": cold}
        for call in source.sample(calls, len(calls)):
            for name in order:
                answer = await clients[name].ask(call, scenario=comparing.SCENARIO, cold=cold, note=lambda _, facts=facts: facts)  # type: ignore[misc]
                if patience[name].lost(answer.observation):
                    say(f"{name} ends the comparison: {answer.observation.outcome} after {number + 1} of {len(blocks)} pairs.")
                    return


def conclude(folder: Run) -> tuple[list[dict[str, Any]], list[Finding]]:
    """Comparisons and findings of the finished run, noted in its manifest, and its report written."""
    observations = list(folder.observations())
    pairs = pairs_of(folder)
    found = findings.judge(observations, comparisons=pairs, facts=folder.manifest)
    folder.keep(comparisons=pairs, findings=[finding.document() for finding in found])
    write_report(folder)
    return pairs, found


def pairs_of(folder: Run) -> list[dict[str, Any]]:
    """The contract's `pairs` of what a run observed, in the order in which its instances were named."""
    names = [one["name"] for one in folder.manifest["instances"]]
    return [one.document() for one in comparing.comparisons(list(folder.observations()), names)]


def _refused(folder: Run) -> CredentialsError | None:
    return credentials_refused([o for o in folder.observations() if "block" in o.facts])


def _lines(pairs: Sequence[dict[str, Any]]) -> list[str]:
    lines = []
    for pair in pairs:
        lines.append(pair["says"])
        lines += [f"    {flag}" for flag in pair["flags"]]
    return lines or ["Nothing was answered by two instances: there is nothing to compare. Try probes diagnose."]
