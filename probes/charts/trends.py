"""Small multiples of numbers over runs: a panel for each series, its level shaded, a new level marked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from probes.charts import style
from probes.charts.style import ALARM, INK, MUTED, SERIES, Picture

MOST_SERIES = 24


def trends(name: str, title: str, series: Sequence[dict[str, Any]], foot: str) -> Picture:
    """One picture of the series of one kind (`series` of `probes.history/1`), those that changed first."""
    shown = sorted(series, key=lambda one: not one["changed"])[:MOST_SERIES]
    rows, columns = style.grid(len(shown))
    with style.styled():
        left_out = f"; {len(series) - len(shown)} more series are in history.json" if len(series) > len(shown) else ""
        figure, axes = style.canvas("", foot + left_out, 0.9 + 1.75 * rows, rows, columns)
        flat = [axis for row in axes for axis in row]
        for axis, one in zip(flat, shown, strict=False):
            _panel(axis, one)
        for axis in flat[len(shown) :]:
            axis.set_visible(False)
        style.settle(figure)
    says = "One mark is one run with its 95 % interval. A dashed line is where a new level begins that is more than noise."
    return Picture(name, title, says, figure)


def _panel(axis: Any, one: dict[str, Any]) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    times = [datetime.fromisoformat(point["started_at"]) for point in one["points"]]
    values = [point["value"] for point in one["points"]]
    below = [max(0.0, point["value"] - point["low"]) for point in one["points"]]
    above = [max(0.0, point["high"] - point["value"]) for point in one["points"]]
    axis.plot(times, values, color=SERIES[0], linewidth=1.0, alpha=0.45)
    axis.errorbar(times, values, yerr=[below, above], fmt="o", color=SERIES[0], ecolor=MUTED, elinewidth=1.0, markersize=3.8)
    for change in one["changes"]:
        axis.axvline(datetime.fromisoformat(change["since"]), color=ALARM, linewidth=1.1, linestyle=(0, (3, 2)))
    asked_for = f", {' '.join(filter(None, [one['scenario'], one.get('how')]))}" if one["scenario"] else ""
    head = style.clipped(one["instance"], 20) + asked_for
    axis.set_title(f"{head}\n{style.clipped(one['call'].removeprefix('GET '), 30)}", fontsize=8.5, color=INK)
    top = max(value + extra for value, extra in zip(values, above, strict=True))
    axis.set_ylim(0, top * 1.15)
    locator = AutoDateLocator(minticks=2, maxticks=4)  # type: ignore[no-untyped-call] # matplotlib has no types here
    formats = ["%Y", "%b %Y", "%d %b", "%H:%M", "%H:%M", "%H:%M:%S"]
    axis.xaxis.set_major_locator(locator)
    axis.xaxis.set_major_formatter(ConciseDateFormatter(locator, formats=formats, zero_formats=formats, show_offset=False))  # type: ignore[no-untyped-call]
    if one["what"] == "median_s":
        axis.yaxis.set_major_formatter(lambda value, _: style.short_seconds(round(value, 6)))
    axis.locator_params(axis="y", nbins=4)
