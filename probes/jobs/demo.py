"""`probes demo`: the whole job against three simulated instances, over TCP, without an account or a network."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from probes import findings, report
from probes.buckets import contradicted
from probes.calls import Call
from probes.config import Instance, Kind
from probes.design import Design
from probes.jobs import compare, run
from probes.jobs.confirm import confirm
from probes.jobs.rate_asking import Measured
from probes.jobs.rate_entries import documents_of
from probes.jobs.session import Settings, Told, how_ended, open_run, run_until, to_raise, write_report
from probes.jobs.terminal import clients_watched_by, progress
from probes.observation import Observation
from probes.runs import Run
from probes.scenarios import Options, chosen
from probes.scenarios import scenario as scenario_of
from probes.wording import rounded_down

PROFILES = ("test", "beta", "sandbox")
CONFIRMED = "sandbox"
CALL = Call("GET", "/api/v1/users/self")


@dataclass(frozen=True, slots=True)
class Size:
    """How much a demo does: `repeat` calls a scenario, `pairs` compared, `rate_budget` requests for each rate, whether Locust confirms."""

    scenarios: tuple[str, ...] = ("reach", "latency", "pagination", "queue", "vocabulary")
    repeat: int = 12
    pairs: int = 8
    rate_budget: int = 170
    confirmed: bool = True

    @property
    def requests(self) -> int:
        """Requests to each instance at most, without Locust's."""
        asked = sum(scenario.budget(Options(repeat=self.repeat)) for scenario in chosen(list(self.scenarios)))
        return asked + len(compare.plan(self.pairs)) + 1 + self.rate_budget


def demo(settings: Settings, size: Size = Size()) -> tuple[Told, KeyboardInterrupt | None]:
    """Measures, estimates, compares, confirms and reports; the document is `probes.report/1`.

    With --json an interrupt ends the asking only and comes back, to be raised after telling. Raises RunFolderError before anything is
    measured.
    """
    settings.say("Starting three simulated instances: test, beta and sandbox.")
    with instances() as served, open_run(settings, ["demo"], served) as folder:
        with progress(settings, "measuring", size.requests * len(served)) as bar:
            asking = _measured(settings, folder, served, size, clients_watched_by(bar))
            documents, halt = run_until(settings, folder, asking, {})
        if documents and size.confirmed:
            halt = _confirmed(settings, served, documents, folder)
        rates = [{"instance": name, **document} for name, entries in documents.items() for document in entries]
        rates = rates or run.rates_of(list(folder.observations()))
        found = _concluded(folder, rates, how_ended(halt))
    return Told(report.document(folder), text(folder, rates, found), found, folder.unkept), to_raise(halt, folder)


def _confirmed(
    settings: Settings, served: Sequence[Instance], documents: dict[str, list[dict[str, Any]]], folder: Run
) -> KeyboardInterrupt | None:
    """Confirms by Locust what may be; with --json the interrupt that ended it, as what was measured stands."""
    try:
        for instance in (one for one in served if one.name == CONFIRMED):
            confirm(settings, instance, [CALL], documents[instance.name], folder, beyond=False)
    except KeyboardInterrupt as stop:
        if not settings.as_json:
            raise
        return stop
    return None


@contextmanager
def instances() -> Iterator[list[Instance]]:
    """Three simulated instances at work for the time of the block."""
    from probes.simulator.profiles import profile
    from probes.simulator.server import Served

    with ExitStack() as stack:
        served = [(name, stack.enter_context(Served(profile(name)))) for name in PROFILES]
        yield [Instance(name, one.url, Kind(name), allow_load=name == CONFIRMED, secret=one.token) for name, one in served]


async def _measured(
    settings: Settings, folder: Run, served: Sequence[Instance], size: Size, make: run.MakeClient
) -> dict[str, list[dict[str, Any]]]:
    """All scenarios, the comparison's pairs, then the rate of each; the rate entries by instance."""
    await run.measure(folder, chosen(list(size.scenarios)), served, Options(repeat=size.repeat), settings.say, make)
    settings.say("compare: the same calls to each, interleaved")
    await compare.measure(folder, served, [CALL], compare.plan(size.pairs), settings.say, make)
    settings.say("rate: identifying each bucket, then pricing the call")
    asked = await asyncio.gather(*(_asked(folder, instance, size.rate_budget, make) for instance in served))
    return {
        instance.name: documents_of(Measured(design, None, 0.0), seen, [CALL], design.job, instance)
        for instance, (design, seen) in zip(served, asked, strict=True)
    }


async def _asked(folder: Run, instance: Instance, budget: int, make: run.MakeClient) -> tuple[Design, list[Observation]]:
    design = Design((CALL,), budget)
    asked = Options(calls=(CALL,), budget=budget, decide=design)
    async with make(instance, folder) as client:
        seen = [observation async for observation in scenario_of("throttling").observe(client, asked)]
    return design, seen


def _concluded(folder: Run, rates: list[dict[str, Any]], ended: str) -> list[findings.Finding]:
    folder.finish(ended, rates=rates)
    pairs = compare.pairs_of(folder)
    found = findings.judge(list(folder.observations()), rates=rates, comparisons=pairs, facts=folder.manifest)
    folder.keep(comparisons=pairs, findings=[finding.document() for finding in found])
    write_report(folder)
    return found


def text(folder: Run, rates: Sequence[dict[str, Any]], found: Sequence[findings.Finding]) -> str:
    """The answer for each instance, what deserves attention, and where the report is."""
    lines = ["", "How fast may a job of 1,000 calls go?"]
    lines += [_line(entry) for entry in rates]
    worth = [finding for finding in found if finding.severity.rank > 0]
    lines += ["", "What deserves attention:", *(f"  {run.told_line(finding)}" for finding in worth)] if worth else []
    return "\n".join([*lines, "", f"Report: {folder.place}/report.html", f"Next: probes plan {folder.place} -i {CONFIRMED} --calls 10000"])


def _line(entry: dict[str, Any]) -> str:
    safe = entry["safe"]
    if safe is None:
        return f"  {entry['instance']:<8} unknown ({entry['regime']})"
    if safe["rate_per_s"] is None:
        return f"  {entry['instance']:<8} no limit at any rate, {safe['in_flight']} in flight"
    if (said := contradicted(entry)) is not None:
        return f"  {entry['instance']:<8} unknown: {said} at what was found safe"
    confirmed = entry.get("confirmed")
    proof = f"; {confirmed['calls']} calls by Locust, {confirmed['refused']} refused" if confirmed else ""
    told = f"{rounded_down(safe['rate_per_s']['low']):>5} calls/s, {safe['in_flight']} in flight, bound by {safe['bound_by']}"
    return f"  {entry['instance']:<8} {told}{proof}"
