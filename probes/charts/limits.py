"""Pictures of what limits a job: the quota tank, the safe rate of each instance with its bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from probes.buckets import contradicted
from probes.charts import style
from probes.charts.style import ALARM, INK, MUTED, SERIES, Picture
from probes.charts.words import foot, names, place, tally
from probes.report import facts
from probes.report.aggregate import LOADS
from probes.wording import percent, rounded_down

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from probes.report.material import Material

LEAST_LEVELS = 5
MOST_BARS = 160
MOST_RATES = 12


def tank(material: Material) -> Picture | None:
    """What remained of the budget at each answer, refusals marked, what the calls cost below; a panel for each instance."""
    shown = [(name, indices) for name in names(material) if len(indices := _metered(material, name)) >= LEAST_LEVELS]
    shown = shown[: style.MOST_PANELS]
    if not shown:
        return None
    lines, columns = style.grid(len(shown))
    every = np.concatenate([indices for _, indices in shown])
    refused = int(np.count_nonzero(material.aggregate.throttled[every]))
    bad = int(np.count_nonzero(~material.aggregate.ok[every])) - refused
    figure, axes = style.canvas(
        "What remained of the budget",
        foot(material, tally(len(every), bad, refused)),
        0.8 + 3.0 * lines,
        2 * lines,
        columns,
        sharey="row",
        height_ratios=[3.2, 1.0] * lines,
    )
    for number, (name, indices) in enumerate(shown):
        line, column = divmod(number, columns)
        _level(axes[2 * line][column], material, name, indices)
        _costs(axes[2 * line + 1][column], material, indices, style.SERIES[place(material, name)])
    for number in range(len(shown), lines * columns):
        line, column = divmod(number, columns)
        for axis in (axes[2 * line][column], axes[2 * line + 1][column]):
            axis.set_visible(False)
    for line in range(lines):
        axes[2 * line][0].set_ylabel("units remaining")
        axes[2 * line + 1][0].set_ylabel("units/s")
    says = (
        "The filled level is what the server said remained of the budget when it answered; each call in flight holds a "
        "reservation, so more calls at one time push it down. "
        "Crosses are refusals. The bars below are what the calls cost."
    )
    return Picture("tank", "The quota tank", says, figure)


def _metered(material: Material, name: str) -> NDArray[np.intp]:
    """The answers that told the level, in order of arrival: of the probing where there are enough, else all but those under load."""
    aggregate = material.aggregate
    told = aggregate.of(name) & np.isfinite(aggregate.number("remaining")) & np.isfinite(aggregate.number("received_s"))
    probing = aggregate.of(scenario="throttling") | aggregate.of(scenario="rate")
    loads = np.zeros(len(aggregate), dtype=bool)
    for scenario in LOADS:
        loads |= aggregate.of(scenario=scenario)
    choices = [np.flatnonzero(told & mask) for mask in (probing, ~loads, loads)]
    indices = next((choice for choice in choices if len(choice) >= LEAST_LEVELS), choices[1])
    return indices[np.argsort(aggregate.number("received_s")[indices], kind="stable")]


def _level(axis: Any, material: Material, name: str, indices: NDArray[np.intp]) -> None:
    aggregate = material.aggregate
    times, levels, refused = aggregate.number("received_s")[indices], aggregate.number("remaining")[indices], aggregate.throttled[indices]
    start, colour = times[0], SERIES[place(material, name)]
    at, low = _lowest(times - start, levels)
    axis.fill_between(at, low, min(0.0, float(levels.min())), step="post", color=colour, alpha=0.28, linewidth=0)
    axis.step(at, low, where="post", color=colour, linewidth=1.2)
    if refused.any():
        picked = np.flatnonzero(refused)
        picked = picked[style.thinned(picked, 300)]
        axis.plot(times[picked] - start, levels[picked], "x", color=ALARM, markersize=5)
    count = f", {int(refused.sum()):,} refused" if refused.any() else ""
    axis.set(title=f"{style.named(name, 28)}\nn = {len(indices):,}{count}", xlim=(0, max(1e-3, float(at[-1]))))
    axis.tick_params(labelbottom=False)
    style.whole_axis(axis.yaxis)


def _lowest(times: NDArray[np.float64], levels: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The level as it is drawn: all of it, or the lowest of each of `MOST_POINTS` spans, as it is the lowest that matters."""
    if len(times) <= style.MOST_POINTS:
        return times, levels
    starts = np.unique(np.linspace(0, len(times) - 1, style.MOST_POINTS).astype(int))
    return times[starts], np.minimum.reduceat(levels, starts)


def _costs(axis: Any, material: Material, indices: NDArray[np.intp], colour: str) -> None:
    times = material.aggregate.number("received_s")[indices]
    costs = np.nan_to_num(material.aggregate.number("cost")[indices])
    span = max(1e-3, float(times[-1] - times[0]))
    bins = int(min(MOST_BARS, max(10, len(times) // 4)))
    sums, edges = np.histogram(times - times[0], bins=bins, range=(0.0, span), weights=costs)
    width = edges[1] - edges[0]
    axis.bar(edges[:-1], sums / width, width=width, align="edge", color=colour, alpha=0.8)
    axis.set(xlim=(0, span), xlabel="seconds")
    axis.locator_params(axis="y", nbins=3)


def safe_rates(material: Material) -> Picture | None:
    """The safe rate of each instance and call: best estimate, interval, what is recommended, what bounds it."""
    rows = [one for one in material.document["rates"] if isinstance(one.get("safe"), dict) and facts.number(one["safe"].get("rate_per_s"))]
    rows = rows[:MOST_RATES]
    if not rows:
        return None
    observed = sum(int(one["safe"]["rate_per_s"].get("n") or 0) for one in rows)
    spent = material.document["spent"]
    title = "Safe rate of each instance"
    figure, axes = style.canvas(
        title,
        foot(material, f"n = {observed:,} priced calls, {int(spent.get('refused') or 0):,} refused while asking"),
        1.6 + 0.62 * len(rows),
    )
    axis = axes[0][0]
    for index, one in enumerate(rows):
        _safe_row(axis, index, one, SERIES[place(material, one["instance"])])
    several = len({one["call"] for one in rows}) > 1
    labels = [style.named(one["instance"], 22) + (f"\n{style.clipped(one['call'], 30)}" if several else "") for one in rows]
    axis.set_yticks(range(len(rows)), labels)
    axis.set(ylim=(len(rows) - 0.45, -0.62), xlabel=_of_job(rows))
    axis.set_xlim(0, axis.get_xlim()[1])
    axis.grid(axis="y", visible=False)
    _explain(axis, 115 - max(len(part) for label in labels for part in label.split("\n")))
    says = (
        "The pale bar ends at the recommended rate, the low end of the 95 % interval, which is the full bar; the dot is the best estimate. "
        "Diamonds are "
        "rates that a load confirmed; ticks are what the leak alone (outflow / cost) and the reservations alone (calls in "
        "flight / time) would allow: the truth lies below both."
    )
    return Picture("safe-rate", title, says, figure)


def _safe_row(axis: Any, index: int, one: dict[str, Any], colour: str) -> None:
    rate, safe = one["safe"]["rate_per_s"], one["safe"]
    axis.plot([0, rate["low"]], [index, index], color=colour, linewidth=7, alpha=0.25, solid_capstyle="butt")
    axis.plot([rate["low"], rate["high"]], [index, index], color=colour, linewidth=7, solid_capstyle="butt")
    axis.plot([rate["value"]], [index], "o", color=style.PAPER, markeredgecolor=INK, markersize=5.5, zorder=4)
    for value in _bounds(one):
        axis.plot([value], [index], "|", color=MUTED, markersize=15, markeredgewidth=1.4)
    confirmed = one.get("confirmed")
    if isinstance(confirmed, dict) and isinstance(confirmed.get("rate_per_s"), int | float):
        colour = ALARM if confirmed.get("contradicted") else INK
        axis.plot([confirmed["rate_per_s"]], [index], "D", color=colour, markersize=4.5, zorder=5)
    n = int(rate.get("n") or 0)
    words = "contradicted: " if contradicted(one) else ""
    words += f"{rounded_down(rate['low'])}/s, {safe.get('in_flight')} in flight, bound by {safe.get('bound_by')}, n = {n:,}"
    axis.annotate(words, (0, index), (2, 11), textcoords="offset points", va="bottom", fontsize=8.5)


def _bounds(one: dict[str, Any]) -> list[float]:
    """Bounds on their own: leak over cost; the calls that fit below the mark over how long each holds its reservation."""
    bucket = one.get("bucket") if isinstance(one.get("bucket"), dict) else {}
    mark, outflow, reserved = (facts.number((bucket or {}).get(name)) for name in ("high_water_mark", "outflow_per_s", "up_front_cost"))
    cost, time = facts.number(one.get("cost")), facts.number(one.get("server_time_s"))
    found = []
    if outflow and cost and cost["value"] > 0:
        found.append(outflow["value"] / cost["value"])
    if mark and reserved and time and time["value"] > 0 and reserved["value"] > 0:
        found.append((mark["value"] / reserved["value"] - 1.0) / time["value"])
    return found


def _explain(axis: Any, room: int) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=MUTED, linewidth=7, alpha=0.25, label="recommended"),
        Line2D([], [], color=MUTED, linewidth=7, label="95 % interval"),
        Line2D([], [], color=style.PAPER, marker="o", markeredgecolor=INK, linestyle="", label="best estimate"),
        Line2D([], [], color=MUTED, marker="|", linestyle="", markersize=11, markeredgewidth=1.4, label="bounds taken singly"),
        Line2D([], [], color=INK, marker="D", linestyle="", markersize=4.5, label="confirmed"),
    ]
    style.legend(axis, room, handles)


def _of_job(rows: list[dict[str, Any]]) -> str:
    jobs = {one["safe"].get("job_calls") for one in rows}
    odds = {one["safe"].get("odds") for one in rows}
    if len(jobs) == len(odds) == 1 and isinstance(job := jobs.pop(), int) and isinstance(odd := odds.pop(), int | float):
        return f"calls/s of a job of {job:,} calls with odds of {percent(odd)} of any refusal"
    return "calls/s"
