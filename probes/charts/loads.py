"""Pictures of controlled load: latency and achieved rate against the offered rate, punctuality of the arrivals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from probes.arrivals import LATE_S
from probes.charts import style
from probes.charts.latencies import objective_s
from probes.charts.style import ALARM, DASHES, MARKERS, MUTED, SERIES, Picture
from probes.charts.words import foot, names, place, tally
from probes.report.aggregate import LOADS
from probes.wording import plural

if TYPE_CHECKING:
    from probes.report.material import Material

PERCENTILES = {"p50": SERIES[0], "p95": SERIES[1], "p99": SERIES[3]}
LEAST_ARRIVALS = 20


def offered(material: Material) -> Picture | None:
    """Latency against the offered rate, below it the achieved rate; a column for each instance."""
    shown = list(_by_instance(material).items())[:3]
    if not shown:
        return None
    requests = sum(int(one.get("requests") or 0) for _, loads in shown for one in loads)
    refused = sum(int(one.get("refused") or 0) for _, loads in shown for one in loads)
    failed = sum(int(one.get("errors") or 0) for _, loads in shown for one in loads)
    figure, axes = style.canvas(
        "Under load",
        foot(material, tally(requests, failed, refused, "requests")),
        4.6,
        2,
        len(shown),
        sharex="col",
        sharey="row",
        height_ratios=[1.7, 1.0],
    )
    for column, (name, loads) in enumerate(shown):
        _latency(axes[0][column], loads, material)
        _achieved(axes[1][column], loads)
        axes[0][column].set_title(f"{style.named(name, 22)} ({plural(len(loads), 'load')})")
        axes[1][column].set_xlabel("offered, requests/s")
    axes[0][0].set_ylabel("from due to last byte")
    figure.legend(handles=_explained([one for _, loads in shown for one in loads]), loc="outside upper right", ncols=3, columnspacing=1.3)
    axes[1][0].set_ylabel("achieved, requests/s")
    says = (
        "Every full mark is one load at a fixed rate. Times count from when a request was due. A filled band begins at the lowest "
        "such rate that met a refusal; below the dashed diagonal the server, or we, did not keep up."
    )
    if any(not _at_a_rate(one) for _, loads in shown for one in loads):
        says += (
            " An open mark is a load by workers, each of which sends its next call when its last has returned: never more than they are "
            "in flight, and slower when the server is. The rate they reach is therefore not one to send at without them."
        )
    return Picture("load", "Latency against offered rate", says, figure)


def _by_instance(material: Material) -> dict[str, list[dict[str, Any]]]:
    known = names(material)
    found: dict[str, list[dict[str, Any]]] = {}
    for one in material.document["loads"]:
        if isinstance(one.get("offered_per_s"), int | float) and isinstance(one.get("latency_s"), dict):
            name = str(one.get("instance") or (known[0] if len(known) == 1 else "load"))
            found.setdefault(name, []).append(one)
    return {name: sorted(loads, key=lambda one: float(one["offered_per_s"])) for name, loads in found.items()}


def _at_a_rate(one: dict[str, Any]) -> bool:
    """Whether requests were due at a rate; else workers sent one after another."""
    return isinstance(one.get("asked_per_s", 0.0), int | float)


def _explained(loads: list[dict[str, Any]]) -> list[Any]:
    """The legend's lines: of the percentiles that some load could carry."""
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], color=colour, linestyle=DASHES[number], marker=MARKERS[number], markersize=4.5, label=percentile)
        for number, (percentile, colour) in enumerate(PERCENTILES.items())
        if any(one["latency_s"].get(percentile) is not None for one in loads)
    ]


def _marks(axis: Any, loads: list[dict[str, Any]], heights: list[Any], colour: str, number: int) -> None:
    """Full marks on a line where requests were due at a rate, open ones without a line for workers; no mark where no height is known."""
    known = [(one, height) for one, height in zip(loads, heights, strict=True) if isinstance(height, int | float)]
    look = {"color": colour, "marker": MARKERS[number], "markersize": 4.5}
    for fixed, more in ((True, {"linestyle": DASHES[number]}), (False, {"linestyle": "", "markerfacecolor": style.PAPER})):
        points = [(one["offered_per_s"], height) for one, height in known if _at_a_rate(one) is fixed]
        if points:
            axis.plot(*zip(*points, strict=True), **look, **more)


def _name_workers(axis: Any, loads: list[dict[str, Any]]) -> None:
    """How many workers an open mark of the lower picture stands for, and what was refused of theirs."""
    for one in loads:
        if not _at_a_rate(one) and isinstance(one.get("achieved_per_s"), int | float):
            count = one.get("in_flight")
            refused = f", {one['refused']:,} refused" if one.get("refused") else ""
            words = (plural(count, "worker") if isinstance(count, int) and count > 0 else "workers") + refused
            axis.annotate(
                words, (one["offered_per_s"], one["achieved_per_s"]), (3, -11), textcoords="offset points", ha="right", va="top", fontsize=8
            )


def _latency(axis: Any, loads: list[dict[str, Any]], material: Material) -> None:
    for number, (percentile, colour) in enumerate(PERCENTILES.items()):
        _marks(axis, loads, [one["latency_s"].get(percentile) for one in loads], colour, number)
    axis.set_yscale("log")
    style.seconds_axis(axis.yaxis)
    if (top := objective_s(material)) is not None:
        _objective(axis, top)
    refused = [one for one in loads if one.get("refused") and _at_a_rate(one)]
    if refused:
        first = refused[0]["offered_per_s"]
        axis.axvspan(first, max(first * 1.04, loads[-1]["offered_per_s"] * 1.04), color=ALARM, alpha=0.12, linewidth=0)
        axis.annotate(
            f"refused from {first:.3g}/s",
            (first, 0.03),
            (-3, 0),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="right",
            fontsize=8,
            color=MUTED,
        )


def _objective(axis: Any, top: float) -> None:
    """The latency that the guard was to hold, as a dashed line."""
    axis.axhline(top, color=ALARM, linewidth=1.0, linestyle=(0, (2, 2)))
    axis.annotate(
        f"objective {style.short_seconds(top)}",
        (0.0, top),
        (4, 2),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha="left",
        fontsize=8,
        color=MUTED,
    )


def _achieved(axis: Any, loads: list[dict[str, Any]]) -> None:
    top = max(one["offered_per_s"] for one in loads) * 1.04
    axis.plot([0, top], [0, top], color=MUTED, linewidth=1.0, linestyle="--")
    _marks(axis, loads, [one.get("achieved_per_s") for one in loads], SERIES[2], 0)
    _name_workers(axis, loads)
    axis.set(xlim=(0, top), ylim=(0, None))


def punctuality(material: Material) -> Picture | None:
    """How late requests under load went, against when they were due: how even the arrivals really were."""
    aggregate = material.aggregate
    loaded = np.zeros(len(aggregate), dtype=bool)
    for scenario in LOADS:
        loaded |= aggregate.of(scenario=scenario)
    behind = aggregate.number("sent_s") - aggregate.number("due_s")
    sent = loaded & np.isfinite(behind)
    shown = [
        (name, np.sort(behind[mask])) for name in names(material) if np.count_nonzero(mask := sent & aggregate.of(name)) >= LEAST_ARRIVALS
    ][: style.MOST_SERIES]
    if not shown:
        return None
    bad = int(np.count_nonzero(loaded & ~aggregate.ok & ~aggregate.throttled))
    total = sum(len(values) for _, values in shown)
    figure, axes = style.canvas(
        "How punctual the load was", foot(material, tally(total, bad, int(np.count_nonzero(loaded & aggregate.throttled)), "requests")), 3.0
    )
    axis = axes[0][0]
    for name, values in shown:
        number, picked = place(material, name), style.thinned(values)
        shares = (np.arange(len(values)) + 1) / len(values)
        late = int(np.count_nonzero(values > LATE_S))
        label = f"{style.named(name, 20)}: {late:,} of {len(values):,} later than 10 ms"
        axis.step(
            np.maximum(values, 1e-5)[picked], shares[picked], where="post", color=SERIES[number], linestyle=DASHES[number], label=label
        )
    axis.axvline(LATE_S, color=ALARM, linewidth=1.0, linestyle=(0, (2, 2)))
    axis.set(xscale="log", ylim=(0, 1.03), xlabel="sent after it was due", ylabel="share of the requests")
    axis.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
    style.seconds_axis(axis.xaxis)
    style.legend(axis)
    says = (
        "Left of the dashed line a request went within 10 ms of its due time. Lines further right mean that the generator, "
        "not the server, was late: then the offered rate was not what was asked."
    )
    return Picture("punctuality", "Were the arrivals even?", says, figure)
