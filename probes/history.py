"""Runs over time: medians, safe rates and page sizes of each run of a folder, what changed, since when, and whether it is more than noise.

A level is told apart from the one before it by intervals on the logarithm's scale, widened by how much runs of one level differ among
themselves (`levels`): what differs by less than runs differ anyway is noise.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from probes.errors import ProbesError, RunFolderError
from probes.levels import splits
from probes.report import document as report_document
from probes.report import facts
from probes.runs import OBSERVATIONS, Run, utc
from probes.stats import short
from probes.wording import plural, seconds

SCHEMA = "probes.history/1"
LEAST_SECONDS = 0.001
"""Medians closer than this are one: the noise floor of a shared machine."""

TITLES = {
    "median_s": "Median time of a call",
    "safe_rate_per_s": "Safe rate, calls/s",
    "default_per_page": "Default page size",
    "max_per_page": "Greatest page size",
}


@dataclass(frozen=True, slots=True)
class Point:
    """One run's number; `low` and `high` are its 95 % interval, equal to `value` where it is exact."""

    run: str
    started_at: str
    value: float
    low: float
    high: float
    n: int

    @property
    def exact(self) -> bool:
        """Whether it is a count, not an estimate."""
        return self.low == self.value == self.high

    @property
    def log(self) -> float:
        """The value on the logarithm's scale."""
        return math.log(max(self.value, 1e-12))

    @property
    def error(self) -> float:
        """Its standard error there."""
        return max(0.0, math.log(max(self.high, 1e-12) / max(self.low, 1e-12))) / (2 * 1.96)


@dataclass(frozen=True, slots=True)
class Key:
    """What a series follows; `how` hard a load was, as `at 5/s`: under another load another time is no change."""

    what: str
    instance: str
    call: str
    scenario: str | None = None
    how: str | None = None


@dataclass(slots=True)
class Series:
    """One number over runs, in order of time, and the indices at which a new level begins."""

    key: Key
    points: list[Point] = field(default_factory=list)

    def changes(self) -> list[int]:
        """Indices of the first points of new levels."""
        if all(point.exact for point in self.points):
            return [index for index, (one, next_one) in enumerate(pairwise(self.points), 1) if next_one.value != one.value]
        least = LEAST_SECONDS if self.key.what == "median_s" else 0.0
        return splits([point.log for point in self.points], [point.error for point in self.points], least)

    def document(self) -> dict[str, Any]:
        """As JSON carries it."""
        changes = self.changes()
        points = [
            {"run": p.run, "started_at": p.started_at, "value": short(p.value), "low": short(p.low), "high": short(p.high), "n": p.n}
            for p in self.points
        ]
        document: dict[str, Any] = {
            "what": self.key.what,
            "instance": self.key.instance,
            "call": self.key.call,
            "scenario": self.key.scenario,
            "how": self.key.how,
            "points": points,
            "changed": bool(changes),
            "changes": [
                {"since": self.points[index].started_at, "run": self.points[index].run, "says": self._says(changes, number)}
                for number, index in enumerate(changes)
            ],
        }
        document["says"] = (
            document["changes"][-1]["says"] if changes else f"{self._name()}: no change that {plural(len(points), 'run')} can show."
        )
        return document

    def _name(self) -> str:
        asked_for = f", asked for {' '.join(filter(None, [self.key.scenario, self.key.how]))}" if self.key.scenario else ""
        return f"{self.key.instance}, {self.key.call}{asked_for}"

    def _says(self, changes: Sequence[int], number: int) -> str:
        """The change in words: what was, what is, since when, by how much."""
        index = changes[number]
        start = changes[number - 1] if number else 0
        end = changes[number + 1] if number + 1 < len(changes) else len(self.points)
        before, after = _level(self.points[start:index]), _level(self.points[index:end])
        since = self.points[index].started_at[:16].replace("T", " ")
        was, now = (_told(self.key.what, value) for value in (before, after))
        by = "" if self.points[0].exact or not before else f", {after / before:.2f} times"
        return (
            f"{self._name()}: {TITLES[self.key.what].lower()} {was} before, {now} since {since} UTC{by} (n = {index - start} "
            f"and {end - index} runs)."
        )


def document(folder: Path) -> dict[str, Any]:
    """`probes.history/1` of the run folders in `folder`. Raises RunFolderError when it holds none."""
    told, skipped = _documents(folder)
    if not told:
        why = f" ({skipped[0]['why']})" if skipped else ""
        raise RunFolderError(f"{folder} holds no run that can be read{why}: name the folder in which the run folders are, as results.")
    series = [one.document() for one in _series(told)]
    changed = [one for one in series if one["changed"]]
    changed.sort(key=lambda one: str(one["changes"][-1]["since"]), reverse=True)
    return {
        "schema": SCHEMA,
        "folder": folder.as_posix(),
        "runs": [{key: one[key] for key in ("run", "started_at", "ended", "command", "observations")} for one in told],
        "skipped": skipped,
        "series": series,
        "changes": [one["says"] for one in changed],
    }


def _documents(folder: Path) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """The reports of all runs in order of their start, and the folders that could not be read."""
    if not folder.is_dir():
        raise RunFolderError(f"{folder} is not a folder: name the one in which the run folders are, as results.")
    told, skipped = [], []
    for path in sorted(one for one in (folder, *folder.iterdir()) if (one / OBSERVATIONS).is_file()):
        try:
            found = _report_of(path)
        except ProbesError as error:
            skipped.append({"run": path.as_posix(), "why": str(error)})
            continue
        if found["started_at"] and found["observations"]:
            told.append(found)
        else:
            skipped.append(
                {"run": path.as_posix(), "why": "it holds no observation" if found["started_at"] else "it does not say when it started"}
            )
    return sorted(told, key=lambda one: str(one["started_at"])), skipped


def _report_of(path: Path) -> dict[str, Any]:
    """The report that stands in the run folder where it is newer than the observations, else made again."""
    report = path / "report.json"
    try:
        if report.stat().st_mtime >= (path / OBSERVATIONS).stat().st_mtime:
            found = json.loads(report.read_text(encoding="utf-8-sig"))
            if (
                found["schema"] == "probes.report/1"
                and all("p50_interval" in row for row in found["latency"])
                and {"observations", "ended", "command", "started_at"} <= set(found)
            ):
                return {**found, "run": path.as_posix(), "started_at": utc(found["started_at"])}
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return report_document(Run.open(path))


def _series(told: Iterable[dict[str, Any]]) -> list[Series]:
    """Every number that at least two runs tell."""
    found: dict[Key, Series] = {}
    for one in told:
        for key, number in _numbers(one):
            if number["value"] > 0:
                point = Point(
                    one["run"],
                    str(one["started_at"]),
                    float(number["value"]),
                    float(number["low"]),
                    float(number["high"]),
                    int(number["n"]),
                )
                found.setdefault(key, Series(key)).points.append(point)
    return [series for series in found.values() if len(series.points) >= 2]


def _numbers(one: dict[str, Any]) -> Iterator[tuple[Key, dict[str, float]]]:
    for row in one["latency"]:
        if number := facts.number(row.get("p50_interval")):
            yield Key("median_s", row["instance"], row["call"], row.get("scenario"), _how(row, one)), number
    for rate in one["rates"]:
        safe = rate.get("safe")
        tried = not any(isinstance(sign, dict) and sign.get("kind") == "untried" for sign in rate.get("signs") or ())
        if tried and isinstance(safe, dict) and (number := facts.number(safe.get("rate_per_s"))):
            yield Key("safe_rate_per_s", rate["instance"], rate["call"]), number
    for row in one["pagination"]:
        for what in ("default_per_page", "max_per_page"):
            if row.get(what):
                yield (
                    Key(what, row["instance"], row["call"]),
                    {"value": row[what], "low": row[what], "high": row[what], "n": row.get("n") or 1},
                )


def _how(row: dict[str, Any], one: dict[str, Any]) -> str | None:
    load = next((load for load in one.get("loads") or () if load["instance"] == row["instance"]), None)
    if row.get("scenario") != "load" or load is None:
        return None
    return f"at {load['asked_per_s']:g}/s" if load.get("asked_per_s") else f"by {load.get('in_flight')} users"


def _level(points: Sequence[Point]) -> float:
    return points[-1].value if points[-1].exact else math.exp(statistics.fmean(point.log for point in points))


def _told(what: str, value: float) -> str:
    return seconds(value) if what == "median_s" else f"{value:.3g}"
