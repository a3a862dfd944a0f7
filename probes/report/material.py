"""`probes.report/1`: everything a report tells, as one JSON document made from a run folder alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from probes.observation import Observation
from probes.report import answers, facts, latencies, paging, queues
from probes.report.aggregate import Aggregate
from probes.runs import Run

SCHEMA = "probes.report/1"
PROBED = ("throttling", "rate")
MOST_PROBED = 1_000
"""Observations of one instance from which a rate is inferred again; a probe spends hundreds."""


@dataclass(frozen=True, slots=True)
class Material:
    """A run, its columns and its document: what pages and pictures are made from."""

    run: Run
    aggregate: Aggregate
    document: dict[str, Any]


def material(run: Run) -> Material:
    """Reads the run once and infers what its manifest does not hold yet. Raises RunFolderError when it cannot be read."""
    aggregate = Aggregate(run)
    return Material(run, aggregate, _document(run, aggregate))


def _document(run: Run, aggregate: Aggregate) -> dict[str, Any]:
    manifest = run.manifest
    rates = facts.rates(manifest) if isinstance(manifest.get("rates"), list) else _rates(aggregate)
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "run": run.place,
        "tool": str(manifest.get("tool") or _tool()),
        "command": facts.words(run),
        "started_at": run.started_at,
        "ended": facts.ended(run),
        "instances": _instances(manifest, aggregate),
        "observations": len(aggregate),
        "seconds": _seconds(aggregate),
        "latency": latencies.rows(aggregate),
        "pagination": paging.rows(aggregate.kept),
        "queues": queues.rows(aggregate.kept),
        "rates": rates,
        "comparisons": facts.entries(manifest, "comparisons", "a", "b", "call"),
        "phases": latencies.phases(aggregate),
        "outcomes": {name: aggregate.outcomes(aggregate.of(name)) for name in aggregate.instances.words},
        "spent": manifest["spent"] if isinstance(manifest.get("spent"), dict) else _spent(aggregate),
        "plans": facts.entries(manifest, "plans", "strategies"),
        "loads": facts.loads(manifest),
        "diagnosis": facts.entries(manifest, "diagnosis", "instance", "causes"),
    }
    _in_order(document)
    document["findings"], whole = _findings(run, aggregate, document)
    document["answers"] = answers.answers(document)
    document["next"] = answers.next_steps(document)
    document["notes"] = answers.notes(document, aggregate, judged=whole)
    document["title"] = answers.title(document)
    document["about"] = answers.about(document)
    return document


def _in_order(document: dict[str, Any]) -> None:
    """Rows by the order of the instances in the configuration: who was asked first, of several at one time, is chance."""
    places = {str(one["name"]): number for number, one in enumerate(document["instances"])}
    for name in ("latency", "pagination", "phases", "queues", "rates"):
        document[name].sort(key=lambda row: places.get(str(row["instance"]), len(places)))
    document["outcomes"] = dict(sorted(document["outcomes"].items(), key=lambda entry: places.get(entry[0], len(places))))


def _tool() -> str:
    from probes import __version__

    return f"canvas-probes {__version__}"


def _instances(manifest: dict[str, Any], aggregate: Aggregate) -> list[dict[str, Any]]:
    """What the manifest says of the instances, and the names of any that only the observations know."""
    known = facts.entries(manifest, "instances", "name")
    names = {str(one["name"]) for one in known}
    return known + [{"name": name} for name in aggregate.instances.words if name not in names]


def _seconds(aggregate: Aggregate) -> float | None:
    """From the run's start to the last thing that was seen."""
    last = [float(np.nanmax(column)) for name in ("due_s", "received_s") if np.isfinite(column := aggregate.number(name)).any()]
    return round(max(last), 3) if last else None


def _spent(aggregate: Aggregate) -> dict[str, Any]:
    refused = int(np.count_nonzero(aggregate.throttled))
    return {"requests": len(aggregate), "refused": refused, "seconds": _seconds(aggregate) or 0.0}


def _rates(aggregate: Aggregate) -> list[dict[str, Any]]:
    probed: dict[str, list[Observation]] = {}
    for _, observation in aggregate.kept:
        mine = probed.setdefault(observation.instance, [])
        if observation.scenario in PROBED and len(mine) < MOST_PROBED:
            mine.append(observation)
    wanted = [observation for mine in probed.values() for observation in mine]
    if not wanted:
        return []
    from probes.rates import rate_documents

    return rate_documents(wanted)


def _findings(run: Run, aggregate: Aggregate, document: dict[str, Any]) -> tuple[list[dict[str, Any]], bool]:
    """Those that jobs made while measuring and those of the rules, none twice, the gravest first; and whether the rules could judge.

    Of one kind and instance the rules' own hold: a run of an earlier version was judged in other words then.
    """
    from probes.findings import judge

    noted = facts.findings(run.manifest)
    try:
        judged = judge(
            [observation for _, observation in aggregate.kept],
            rates=document["rates"],
            comparisons=document["comparisons"],
            causes=document["diagnosis"],
            facts=run.manifest,
        )
    except (KeyError, TypeError, ValueError, AttributeError, AssertionError):
        # a manifest or an answer of a shape that no rule knows must not cost the rest of the report
        return _ordered(noted), False
    anew = {(finding.kind, finding.instance) for finding in judged}
    kept = [one for one in noted if (one["kind"], one["instance"]) not in anew]
    return _ordered(kept + [finding.document() for finding in judged]), True


def _ordered(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    once: dict[tuple[str, str, str], dict[str, Any]] = {}
    for one in found:
        once.setdefault((one["kind"], one["instance"], one["says"]), one)
    return sorted(once.values(), key=lambda one: facts.SEVERITIES.index(one["severity"]))
