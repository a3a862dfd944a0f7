"""Metric families as text: OpenMetrics with timestamps, or the older format without."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from probes.report.queues import Labels


@dataclass(frozen=True, slots=True)
class Sample:
    """One number at one time (seconds since the epoch); `suffix` is what its name has beyond the family's."""

    labels: Labels
    value: float
    at_s: float
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Family:
    """A metric family; samples of one series stand together and in order of time."""

    name: str
    kind: str
    help: str
    samples: tuple[Sample, ...]


def last_of(samples: Iterable[Sample]) -> Iterator[Sample]:
    """The newest sample of each series, in the order of the series."""
    newest = {(sample.suffix, sample.labels): sample for sample in samples}
    yield from newest.values()


def family_lines(family: Family, *, timed: bool) -> Iterator[str]:
    """HELP, TYPE and samples: OpenMetrics when `timed`, else the older text format, where a counter's family has its suffix."""
    name = family.name if timed or family.kind != "counter" else f"{family.name}_total"
    yield f"# HELP {name} {family.help}"
    yield f"# TYPE {name} {family.kind}"
    samples = _by_point(family.samples) if timed and family.kind == "histogram" else family.samples
    for sample in samples:
        labels = ",".join(f'{key}="{_escaped(value)}"' for key, value in sample.labels)
        tail = f" {sample.at_s:.3f}" if timed else ""
        yield f"{family.name}{sample.suffix}{{{labels}}} {sample.value:.12g}{tail}"


def _by_point(samples: Iterable[Sample]) -> list[Sample]:
    """Each histogram's points in order of time, one histogram after another: OpenMetrics forbids to mix them."""
    places: dict[Labels, int] = {}

    def key(sample: Sample) -> tuple[int, float]:
        return places.setdefault(tuple(label for label in sample.labels if label[0] != "le"), len(places)), sample.at_s

    return sorted(samples, key=key)


def _escaped(value: str) -> str:
    clean = value.encode("utf-8", "replace").decode()
    return clean.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"').replace("\r", " ")
