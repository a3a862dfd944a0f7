"""`probes run`: scenarios against instances, interleaved, within a budget stated before the first request."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from probes import findings
from probes.addresses import without_secrets
from probes.calls import Call
from probes.config import Instance
from probes.errors import CredentialsError, GuardStop
from probes.findings import Finding, Severity
from probes.jobs.session import (
    Settings,
    Told,
    client_for,
    credentials_refused,
    how_ended,
    open_run,
    reckoning,
    run_until,
    to_raise,
    write_report,
)
from probes.jobs.terminal import clients_watched_by, progress
from probes.observation import NETWORK_OUTCOMES, Observation
from probes.runs import Run
from probes.scenarios import Options, Scenario, chosen
from probes.wording import quoted

if TYPE_CHECKING:
    from probes.client import Client

HEADLINES = frozenset(
    {
        "answers",
        "safe_rate",
        "unthrottled",
        "latency",
        "best_page_size",
        "timeout_to_set",
        "ladder",
        "mail_would_go",
        "mail_unknown",
        "queue_wait",
        "queue_empty",
        "backlog",
        "no_imports",
        "import_place",
        "progress",
        "undocumented_value",
        "unknown_value",
        "hidden_value",
    }
)
"""Kinds of finding that a terminal shows though they are no warning: each answers what its scenario asks."""
FEW = 8
"""So few findings are shown whole, with their evidence."""
EndsBadly = GuardStop | CredentialsError | KeyboardInterrupt | None
"""What ends the command after it has told what it found."""
MakeClient = Callable[[Instance, Run], "Client"]


def run(settings: Settings, words: list[str], names: list[str], options: Options) -> tuple[Told, EndsBadly]:
    """Runs the scenarios of `words` on the instances of `names` (none: all configured) and tells the report.

    Raises UsageError, ConfigError, RunFolderError. A guard, refused credentials or, with --json, an interrupt come back beside what was
    found, to be told first.
    """
    scenarios = chosen(words)
    instances = settings.load().pick(names)
    settings.say(stated_budget(scenarios, instances, options))
    with open_run(settings, words_of(words, instances, options), instances) as folder:
        with progress(settings, "asking", len(instances) * _most(scenarios, options)) as bar:
            asking = measure(folder, scenarios, instances, options, settings.say, clients_watched_by(bar))
            stops, halt = run_until(settings, folder, asking, [])
        stop: EndsBadly = (stops[0] if stops else None) or _refused(folder, scenarios)
        with reckoning(settings, folder):
            folder.finish(how_ended(halt or stop))
            found, document = conclude(folder)
    told = Told(document, _text(folder, found), found, folder.unkept)
    return told, to_raise(halt, folder) or stop


OPTIONS = {"repeat": "--repeat", "budget": "--budget", "course": "--course", "section": "--section", "user": "--user"}
EXTRA = {"type": "--type", "import": "--import"}
"""Fields of Options, and names in its `extra`, by the command's options."""


def words_of(words: Sequence[str], instances: Sequence[Instance], options: Options) -> list[str]:
    """The command again, as the run keeps it: scenarios, instances, and options where they are not the usual ones."""
    usual = Options()
    told = [(option, getattr(options, name)) for name, option in OPTIONS.items() if getattr(options, name) != getattr(usual, name)]
    told += [(option, options.extra[name]) for name, option in EXTRA.items() if name in options.extra]
    told += [("--progress", one) for one in options.extra.get("progress", ())]
    told = [*(("-i", one.name) for one in instances), *told, *(("--call", without_secrets(call.name)) for call in options.calls)]
    probe = ["--write-probe"] if options.allow_writes else []
    return ["run", *words, *(str(word) for pair in told for word in pair), *probe]


def stated_budget(scenarios: Sequence[Scenario], instances: Sequence[Instance], options: Options) -> str:
    """The sentence that says beforehand how many requests will be sent at most, and what ceilings forbid."""
    parts = [f"{scenario.name} {scenario.budget(options)}" for scenario in scenarios]
    each = _most(scenarios, options)
    lines = [f"At most {each} requests to each of {', '.join(one.name for one in instances)} ({', '.join(parts)})."]
    lines += [
        f"{one.name} allows {one.max_requests} requests a run: its later scenarios will be cut short."
        for one in instances
        if one.max_requests is not None and one.max_requests < each
    ]
    return "\n".join(lines)


def _most(scenarios: Sequence[Scenario], options: Options) -> int:
    """Requests to each instance at most."""
    return sum(scenario.budget(options) for scenario in scenarios)


async def measure(
    folder: Run,
    scenarios: Sequence[Scenario],
    instances: Sequence[Instance],
    options: Options,
    say: Callable[[str], None],
    make_client: MakeClient = client_for,
) -> list[GuardStop]:
    """Asks: scenario after scenario, all instances of one scenario at the same time; the guards that stopped an instance."""
    stops: list[GuardStop] = []
    lost: set[str] = set()
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(make_client(instance, folder)) for instance in instances]
        for scenario in scenarios:
            say(f"{scenario.name}: {scenario.asks}")
            asked = [client for client in clients if client.instance.name not in lost]
            async with asyncio.TaskGroup() as group:
                for sharing in grouped(asked):
                    group.create_task(_take_turns(sharing, scenario, options, stops, lost, say))
    return stops


def grouped(clients: Iterable[Client]) -> list[list[Client]]:
    """Clients by origin: those of one origin may share a bucket, so they take turns; others run at the same time."""
    groups: dict[str, list[Client]] = {}
    for client in clients:
        groups.setdefault(client.instance.url, []).append(client)
    return list(groups.values())


async def _take_turns(
    clients: list[Client], scenario: Scenario, options: Options, stops: list[GuardStop], lost: set[str], say: Callable[[str], None]
) -> None:
    """One observation of each client in turn until all are done."""
    streams = {client.instance.name: scenario.observe(client, designed(scenario, client, options)) for client in clients}
    seen: dict[str, list[Observation]] = {name: [] for name in streams}
    while streams:
        for name, stream in list(streams.items()):
            observation = await _next(stream, stops)
            if observation is None:
                del streams[name]
            else:
                seen[name].append(observation)
    for name, observations in seen.items():
        if observations and all(o.outcome in NETWORK_OUTCOMES for o in observations):
            lost.add(name)
            say(
                f"{name}: none of {len(observations)} requests was answered "
                f"({observations[-1].outcome}); what is left of its scenarios is left out."
            )
        elif stops and not observations:
            lost.add(name)


async def _next(stream: AsyncIterator[Observation], stops: list[GuardStop]) -> Observation | None:
    """The next observation; None at the end, also when a guard ends it."""
    try:
        return await anext(stream, None)
    except GuardStop as stop:
        stops.append(stop)
        return None


def designed(scenario: Scenario, client: Client, options: Options) -> Options:
    """`options` with the estimator's design of the next calls, for the scenario that takes one."""
    if scenario.name != "throttling" or options.decide is not None:
        return options
    from probes.design import Design

    instance = client.instance
    calls = options.calls or (Call("GET", client.dialect.self_path),)
    design = Design(calls, scenario.budget(options), instance.max_rate, instance.max_in_flight)
    return dataclasses.replace(options, decide=design)


def conclude(folder: Run) -> tuple[list[Finding], dict[str, Any]]:
    """Findings of the finished run and the report's document: estimates and findings noted in its manifest, its report written."""
    observations = list(folder.observations())
    folder.keep(rates=rates_of(observations))
    found = findings.judge(observations, rates=folder.manifest["rates"], facts=folder.manifest)
    folder.keep(findings=[finding.document() for finding in found])
    return found, write_report(folder)


def rates_of(observations: Sequence[Observation]) -> list[dict[str, Any]]:
    """The entries of `rates` that observations of throttling tell."""
    from probes.rates import rate_documents

    probed = [o for o in observations if o.scenario == "throttling"]
    return told_where_untried(rate_documents(probed), probed) if probed else []


def told_where_untried(documents: list[dict[str, Any]], probed: Sequence[Observation]) -> list[dict[str, Any]]:
    """The rates, with a sign where one lies far above what was answered within any second."""
    from probes.rates import untried
    from probes.slowing import answered_per_s

    for document in documents:
        name = document["instance"]
        sign = untried(document, answered_per_s([o for o in probed if o.instance == name]), f"probes rate -i {quoted(name)}")
        document["signs"] += [] if sign is None else [sign.document()]
    return documents


def _refused(folder: Run, scenarios: Sequence[Scenario]) -> CredentialsError | None:
    """The error of a run in which every call was refused for its credentials; reach has that to tell, so none where it ran."""
    if any(scenario.name == "reach" for scenario in scenarios):
        return None
    return credentials_refused(list(folder.observations()))


def _text(folder: Run, found: Sequence[Finding]) -> str:
    """Few findings whole; of many the warnings and above, and the answers asked for: the rest stands in the report."""
    shown = [finding for finding in found if finding.severity is not Severity.INFO or finding.kind in HEADLINES]
    if len(found) <= FEW:
        lines = [line for finding in found for line in (told_line(finding), *(f"    - {word}" for word in finding.evidence))]
        shown = list(found)
    else:
        lines = [told_line(finding) for finding in shown]
    lines = lines or ["Nothing stands out."]
    left = len(found) - len(shown)
    more = [f"{left} more {'remark stands' if left == 1 else 'remarks stand'} in the report."] if left else []
    return "\n".join([*lines, *more, "", f"Report: {folder.folder / 'report.html'}"])


def told_line(finding: Finding) -> str:
    """A finding as a terminal shows it."""
    advice = f"\n    {finding.advice}" if finding.advice else ""
    return f"{finding.severity.value:<8} {finding.instance}: {finding.says}{advice}"
