"""`probes demo`: the whole job against three simulated instances, over TCP, without an account or a network."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from probes import findings, report
from probes.calls import Call
from probes.config import Instance, Kind
from probes.jobs import compare, run
from probes.jobs.confirm import confirm
from probes.jobs.rate import Measured, documents_of
from probes.jobs.session import Settings, Told, client_for, open_run, run_async
from probes.runs import Run
from probes.scenarios import Options, chosen
from probes.scenarios import scenario as scenario_of

PROFILES = ("test", "beta", "sandbox")
CONFIRMED = "sandbox"
CALL = Call("GET", "/api/v1/users/self")
SCENARIOS = ("reach", "latency", "pagination", "queue", "vocabulary")
RATE_BUDGET = 220
COMPARED_PAIRS = 16


def demo(settings: Settings) -> Told:
    """Measures, estimates, compares, confirms and reports; the document is `probes.report/1`. Raises RunFolderError."""
    settings.say("Starting three simulated instances: test, beta and sandbox.")
    with instances() as served, open_run(settings, ["demo"], served) as folder:
        documents = run_async(_measured(settings, folder, served))
        confirmed = [instance for instance in served if instance.name == CONFIRMED]
        for instance in confirmed:
            confirm(settings, instance, [CALL], documents[instance.name], folder, beyond=False)
        rates = [{"instance": name, **document} for name, entries in documents.items() for document in entries]
        found = _concluded(folder, rates)
    return Told(report.document(folder), text(folder, rates, found), found)


@contextmanager
def instances() -> Iterator[list[Instance]]:
    """Three simulated instances at work for the time of the block."""
    from probes.simulator.profiles import profile
    from probes.simulator.server import Served

    with ExitStack() as stack:
        served = [(name, stack.enter_context(Served(profile(name)))) for name in PROFILES]
        yield [Instance(name, one.url, Kind(name), allow_load=name == CONFIRMED, secret=one.token) for name, one in served]


async def _measured(settings: Settings, folder: Run, served: Sequence[Instance]) -> dict[str, list[dict[str, Any]]]:
    """All scenarios, the comparison's pairs, then the rate of each; the rate entries by instance."""
    await run.measure(folder, chosen(list(SCENARIOS)), served, Options(repeat=24), settings.say)
    settings.say("compare: the same calls to each, interleaved")
    await compare.measure(folder, served, [CALL], compare.plan(COMPARED_PAIRS), settings.say)
    settings.say("rate: identifying each bucket, then pricing the call")
    found = await asyncio.gather(*(_rate(folder, instance) for instance in served))
    return {instance.name: documents for instance, documents in zip(served, found, strict=True)}


async def _rate(folder: Run, instance: Instance) -> list[dict[str, Any]]:
    from probes.design import Design

    design = Design((CALL,), RATE_BUDGET)
    seen = []
    async with client_for(instance, folder) as client:
        async for observation in scenario_of("throttling").observe(client, Options(calls=(CALL,), budget=RATE_BUDGET, decide=design)):
            seen.append(observation)
    return documents_of(Measured(design, None, 0.0), seen, [CALL], 1000, instance)


def _concluded(folder: Run, rates: list[dict[str, Any]]) -> list[findings.Finding]:
    folder.note(rates=rates)
    pairs, _ = compare.conclude(folder)
    found = findings.judge(list(folder.observations()), rates=rates, comparisons=pairs, facts=folder.manifest)
    folder.note(findings=[finding.document() for finding in found])
    report.write(folder)
    return found


def text(folder: Run, rates: Sequence[dict[str, Any]], found: Sequence[findings.Finding]) -> str:
    """The answer for each instance, what deserves attention, and where the report is."""
    lines = ["", "How fast may a job of 1,000 calls go?"]
    lines += [_line(entry) for entry in rates]
    worth = [finding for finding in found if finding.severity.rank > 0]
    lines += ["", "What deserves attention:", *(f"  {run.told_line(finding)}" for finding in worth)] if worth else []
    return "\n".join([*lines, "", f"Report: {folder.folder / 'report.html'}", f"Next: probes plan {folder.folder} -i {CONFIRMED} --calls 10000"])


def _line(entry: dict[str, Any]) -> str:
    safe = entry["safe"]
    if safe is None or safe["rate_per_s"] is None:
        return f"  {entry['instance']:<8} unknown ({entry['regime']})"
    confirmed = entry.get("confirmed")
    proof = f"; {confirmed['calls']} calls by Locust, {confirmed['refused']} refused" if confirmed else ""
    return f"  {entry['instance']:<8} {safe['rate_per_s']['low']:5.1f} calls/s, {safe['in_flight']} in flight, bound by {safe['bound_by']}{proof}"

