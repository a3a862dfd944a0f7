"""Pictures of how long calls take: ECDF, shift between instances, phases on cold and warm connections, drift."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from probes.charts import style
from probes.charts.style import ALARM, DASHES, INK, MUTED, SERIES, Picture
from probes.charts.words import foot, main_call, place, tally
from probes.report import facts
from probes.report.latencies import timed
from probes.wording import seconds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from probes.report.material import Material

SLOW_S = 2.0
"""The median above which the findings call a call slow."""
LEAST_DRAWN = 2
LEAST_SHARE = 0.02
"""A connection that takes less of what the first byte takes is lost in how calls differ anyway."""
QUANTILES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


def objective_s(material: Material) -> float | None:
    """The latency that the run's load was asked to keep; None where it was asked none."""
    value = material.run.manifest.get("objective_s")
    return float(value) if isinstance(value, int | float) and value > 0 else None


def _shown(material: Material) -> tuple[str | None, list[dict[str, Any]]]:
    """The call that is pictured and its rows, as many as there are colours."""
    rows = material.document["latency"]
    call = main_call(rows)
    found = [row for row in rows if row["call"] == call and row["n"] >= LEAST_DRAWN]
    return call, found[: style.MOST_SERIES]


def _indices(material: Material, row: dict[str, Any]) -> NDArray[np.intp]:
    mask = material.aggregate.of(row["instance"], row["scenario"], row["call"])
    return np.flatnonzero(mask)


def ecdf(material: Material) -> Picture | None:
    """Share of calls answered within a time, one step line for each instance, what is slow, failures as marks along the bottom."""
    call, rows = _shown(material)
    if not rows:
        return None
    counts = [sum(row[key] for row in rows) for key in ("n", "failed", "refused")]
    figure, axes = style.canvas(f"How long {style.clipped(str(call), 60)} takes", foot(material, tally(*counts)), 3.7)
    axis = axes[0][0]
    for row in rows:
        number = place(material, row["instance"])
        indices = _indices(material, row)
        times = np.sort(material.aggregate.latency_s[timed(material.aggregate, indices)])
        shares = np.arange(1, len(times) + 1) / len(times)
        picked = style.thinned(times)
        median = "" if row["p50_s"] is None else f", median {seconds(row['p50_s'])}"
        label = f"{style.named(row['instance'], 18)}{median} (n = {row['n']:,})"
        axis.step(times[picked], shares[picked], where="post", color=SERIES[number], linestyle=DASHES[number], label=label)
        _failures(axis, material, indices, number)
    objective = objective_s(material)
    bound = SLOW_S if objective is None else objective
    axis.axvline(bound, color=ALARM, linewidth=1.0, linestyle=(0, (2, 2)))
    axis.annotate(
        f"{'slow from' if objective is None else 'objective'} {style.short_seconds(bound)}",
        (bound, 1.0),
        (-4, -2),
        textcoords="offset points",
        ha="right",
        va="top",
        fontsize=8,
        color=MUTED,
    )
    axis.set(xscale="log", ylim=(-0.06, 1.04), xlabel="from when the call was due to its last byte", ylabel="share answered by then")
    axis.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
    style.seconds_axis(axis.xaxis)
    style.legend(axis)
    says = (
        "Each line climbs to the share of calls that were answered within the time below it; further left is faster. Crosses "
        "along the bottom are calls that failed."
    )
    return Picture("latency", "How long calls take", says, figure)


def _failures(axis: Any, material: Material, indices: NDArray[np.intp], number: int) -> None:
    """A cross where a call that failed came back."""
    failed = indices[~material.aggregate.ok[indices]]
    times = material.aggregate.latency_s[failed]
    times = times[np.isfinite(times) & (times > 0)][: style.MOST_POINTS]
    if len(times):
        axis.plot(times, np.full(len(times), -0.03), "x", color=SERIES[number], markersize=4.5)


def shift(material: Material) -> Picture | None:
    """How much longer the slower of two instances takes at each quantile, with a bootstrap band."""
    panels = _paired_shifts(material) or _unpaired_shifts(material)
    if not panels:
        return None
    panels = panels[:3]
    rows, columns = style.grid(len(panels))
    figure, axes = style.canvas(
        "By how much one instance is slower than another", foot(material, panels[0]["foot"]), 3.2 * rows, rows, columns, sharey=True
    )
    for axis, panel in zip([axis for row in axes for axis in row], panels, strict=False):
        share = [100 * q for q in panel["q"]]
        axis.axhline(0.0, color=MUTED, linewidth=1.0)
        axis.fill_between(share, panel["low"], panel["high"], color=SERIES[0], alpha=0.22, linewidth=0)
        axis.plot(share, panel["value"], color=SERIES[0], marker="o", markersize=3.5)
        axis.set(title=f"{style.named(panel['a'], 16)} less {style.named(panel['b'], 16)}", xlabel="percentile of the times", xlim=(0, 100))
        axis.set_xticks([10, 25, 50, 75, 90])
    axes[0][0].set_ylabel("seconds longer")
    says = (
        "Above zero the first instance is slower. A flat line is a constant delay, a line that rises means the slow calls "
        "suffer most; the band is a 95 % bootstrap interval."
    )
    return Picture("shift", "One instance against another", says, figure)


def _paired_shifts(material: Material) -> list[dict[str, Any]]:
    found = []
    for pair in material.document["comparisons"]:
        points = [
            (one["q"], number)
            for one in pair.get("shift") or []
            if isinstance(one, dict) and "q" in one and (number := facts.number(one.get("seconds")))
        ]
        if len(points) >= 3:
            found.append(_panel(pair["a"], pair["b"], points, f"n = {points[0][1]['n']:,} pairs, interleaved"))
    return found


def _panel(a: str, b: str, points: list[tuple[float, dict[str, float]]], foot_text: str) -> dict[str, Any]:
    ends = {key: [number[key] for _, number in points] for key in ("value", "low", "high")}
    return {"a": a, "b": b, "q": [q for q, _ in points], **ends, "foot": foot_text}


def _unpaired_shifts(material: Material) -> list[dict[str, Any]]:
    """Every instance against the fastest, where a median tells it; resampled each by itself, for they were not asked in blocks."""
    _, rows = _shown(material)
    rows = sorted((row for row in rows if row["n"] >= 20), key=lambda row: row["p50_s"])
    source, found = np.random.default_rng(0), []
    for row in rows[:0:-1]:
        a, b = (_sample(material, one) for one in (row, rows[0]))
        drawn = [np.quantile(source.choice(a, len(a)), QUANTILES) - np.quantile(source.choice(b, len(b)), QUANTILES) for _ in range(300)]
        low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
        value = np.quantile(a, QUANTILES) - np.quantile(b, QUANTILES)
        points = [
            (q, {"value": float(v), "low": float(lo), "high": float(hi)}) for q, v, lo, hi in zip(QUANTILES, value, low, high, strict=True)
        ]
        found.append(_panel(row["instance"], rows[0]["instance"], points, f"n = {len(a):,} and {len(b):,}, not interleaved"))
    return found


def _sample(material: Material, row: dict[str, Any]) -> Any:
    times = material.aggregate.latency_s[timed(material.aggregate, _indices(material, row))]
    return times if len(times) <= 2_000 else np.random.default_rng(1).choice(times, 2_000, replace=False)


def phases(material: Material) -> Picture | None:
    """Where the time of a call goes, on a new connection and on one that was there."""
    rows = material.document["phases"][: 2 * style.MOST_SERIES]
    if not rows:
        return None
    names = {
        "pool_s": "own wait",
        "connect_s": "connect",
        "tls_s": "TLS",
        "send_s": "send",
        "wait_s": "first byte",
        "receive_s": "receive",
    }
    colours = dict(zip(names, (MUTED, SERIES[1], SERIES[3], SERIES[2], SERIES[0], SERIES[4]), strict=True))
    total = sum(row["n"] for row in rows)
    figure, axes = style.canvas("Where the time of a call goes", foot(material, tally(total, 0, 0)), 1.5 + 0.34 * len(rows))
    axis = axes[0][0]
    labels = [f"{style.named(row['instance'], 18)}, {row['connection']} (n = {row['n']:,})" for row in rows]
    left = np.zeros(len(rows))
    for phase, name in names.items():
        widths = np.array([row[phase] or 0.0 for row in rows])
        if widths.max() > 0.002 * (left.max() + 1e-9):
            axis.barh(range(len(rows)), widths, left=left, color=colours[phase], label=name, height=0.66)
        left += widths
    for index, end in enumerate(left):
        axis.annotate(seconds(float(end)), (end, index), (4, 0), textcoords="offset points", va="center", fontsize=8)
    axis.set_yticks(range(len(rows)), labels)
    axis.set(xlabel="seconds, median of each phase", xlim=(0, float(left.max()) * 1.12))
    axis.invert_yaxis()
    axis.grid(axis="y", visible=False)
    style.legend(axis, room=105 - max(len(label) for label in labels))
    says = f"A cold call makes its connection first; a warm one uses one that was there. {_cost_of_connecting(rows)}"
    return Picture("phases", "Cold and warm connections", says, figure)


def _cost_of_connecting(rows: list[dict[str, Any]]) -> str:
    """What a kept connection saves, which is to connect and TLS: what the answer itself takes differs by chance."""
    cold = [row for row in rows if row["connection"] == "cold"]
    takes = sorted((row["connect_s"] or 0.0) + (row["tls_s"] or 0.0) for row in cold)
    if not takes:
        return "No call here made one."
    shares = [(row["connect_s"] or 0.0) + (row["tls_s"] or 0.0) >= LEAST_SHARE * (row["wait_s"] or 0.0) for row in cold]
    low, high = (seconds(max(0.001, one)) for one in (takes[0], takes[-1]))
    told = low if low == high else f"{low} to {high}"
    if takes[-1] < 0.001:
        told = "less than 1 ms"
    return f"Connect and TLS take {told} here" + (
        ": keeping connections saves that of each call." if any(shares) else ": too little to show beside the rest of a call."
    )


def drift(material: Material) -> Picture | None:
    """Times in the order in which the calls were made: a trend or a step means the server changed while it was measured."""
    call, rows = _shown(material)
    rows = [row for row in rows if row["n"] >= 10]
    if not rows:
        return None
    lines, columns = style.grid(len(rows))
    counts = [sum(row[key] for row in rows) for key in ("n", "failed", "refused")]
    figure, axes = style.canvas(
        f"{style.clipped(str(call), 50)} in the order of asking",
        foot(material, tally(*counts)),
        0.8 + 2.0 * lines,
        lines,
        columns,
        sharey=True,
    )
    flat = [axis for line in axes for axis in line]
    for axis, row in zip(flat, rows, strict=False):
        number = place(material, row["instance"])
        times = material.aggregate.latency_s[timed(material.aggregate, _indices(material, row))]
        order = np.arange(1, len(times) + 1)
        axis.plot(order, times, ".", color=SERIES[number], markersize=3.5, alpha=0.55, rasterized=len(times) > style.MOST_POINTS)
        _running_median(axis, order, times)
        axis.set(title=style.named(row["instance"], 26), yscale="log", xlabel="number of the call")
        style.whole_axis(axis.xaxis)
        style.seconds_axis(axis.yaxis)
    for axis in flat[len(rows) :]:
        axis.set_visible(False)
    says = "One dot is one call; the line is the running median. Level means that nothing changed while measuring."
    return Picture("drift", "Did anything change while measuring?", says, figure)


def _running_median(axis: Any, order: NDArray[np.int_], times: NDArray[np.float64]) -> None:
    width = max(5, len(times) // 12)
    starts = np.linspace(0, len(times) - width, min(60, len(times) - width + 1)).astype(int)
    middle = [float(np.median(times[start : start + width])) for start in starts]
    axis.plot(order[starts] + (width - 1) / 2, middle, color=INK, linewidth=1.6)
