"""Pictures of how lists page: default and greatest size of each list, what a page size costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from probes.charts import style
from probes.charts.style import DASHES, MARKERS, SERIES, Picture
from probes.charts.words import foot, place

if TYPE_CHECKING:
    from probes.report.material import Material

MOST_LISTS = 8
MOST_STUDIED = 5
LEAST_PAGES = 2
LONGEST_LABEL = 34
"""Characters of one line of a label."""


def defaults(material: Material) -> Picture | None:
    """Default and greatest page size of each list at each instance."""
    rows = [row for row in material.document["pagination"] if row["default_per_page"] or row["max_per_page"]]
    calls = list(dict.fromkeys(row["call"] for row in rows))[:MOST_LISTS]
    instances = list(dict.fromkeys(row["instance"] for row in rows))[: style.MOST_SERIES]
    rows = [row for row in rows if row["call"] in calls and row["instance"] in instances]
    if not rows:
        return None
    figure, axes = style.canvas(
        "How many items a page brings",
        foot(material, f"n = {sum(row['n'] for row in rows):,} pages"),
        1.5 + 0.27 * len(calls) * (len(instances) + 0.6),
    )
    axis = axes[0][0]
    for row in rows:
        at = calls.index(row["call"]) + 0.7 * ((instances.index(row["instance"]) + 0.5) / len(instances) - 0.5)
        _dumbbell(axis, row, at, place(material, row["instance"]))
    axis.set_yticks(range(len(calls)), [_broken(call) for call in calls])
    axis.set(xlabel="items on a page", xlim=(0, None), ylim=(len(calls) - 0.5, -0.5))
    axis.grid(axis="y", visible=False)
    _explain(axis, {name: place(material, name) for name in instances})
    says = (
        "The open mark is what a page brings when no size is asked for, the full mark the most it brings whatever is asked. "
        "The line between them is what asking saves."
    )
    return Picture("page-sizes", "Default and greatest page size", says, figure)


def _dumbbell(axis: Any, row: dict[str, Any], at: float, number: int) -> None:
    default, greatest = row["default_per_page"], row["max_per_page"]
    if default is not None and greatest is not None:
        axis.plot([default, greatest], [at, at], color=SERIES[number], linewidth=1.6, alpha=0.6)
    for value, face in ((default, style.PAPER), (greatest, SERIES[number])):
        if value is not None:
            axis.plot([value], [at], MARKERS[number], color=face, markeredgecolor=SERIES[number], markeredgewidth=1.4, markersize=6)
            axis.annotate(f"{value:,}", (value, at), (0, 5), textcoords="offset points", ha="center", va="bottom", fontsize=7.5)


def _explain(axis: Any, instances: dict[str, int]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=SERIES[number], marker=MARKERS[number], markersize=6, linewidth=1.6, label=style.named(name, 24))
        for name, number in instances.items()
    ]
    style.legend(axis, 62, handles)


def _broken(call: str) -> str:
    """A call as a label: without its method, on two lines where it is long."""
    path, most = call.removeprefix("GET "), LONGEST_LABEL
    if len(path) <= most:
        return style.clipped(path, most)
    cut = path.rfind("/", 0, most)
    cut = cut if cut > 0 else most
    return style.clipped(path[:cut], most) + "\n" + style.clipped(path[cut:], most)


def sizes(material: Material) -> Picture | None:
    """What a page size costs: time per item and time for the whole list, each on its own axes."""
    from matplotlib.ticker import NullLocator

    rows = [_repeated(row) for row in material.document["pagination"]]
    rows = [row for row in rows if len(row["sizes"]) >= 2]
    lists = list(dict.fromkeys(row["call"] for row in rows))
    calls = lists[:MOST_STUDIED]
    instances = list(dict.fromkeys(row["instance"] for row in rows))[: style.MOST_SERIES]
    if not calls:
        return None
    count = sum(size["n"] for row in rows if row["call"] in calls for size in row["sizes"])
    of_all = f"{len(calls)} of {len(lists)} lists, " if len(lists) > len(calls) else ""
    figure, axes = style.canvas(
        "What a page size costs", foot(material, f"{of_all}n = {count:,} pages"), 1.0 + 2.1 * len(calls), len(calls), 2, sharex=True
    )
    for line, call in enumerate(calls):
        for row in rows:
            if row["call"] == call and row["instance"] in instances:
                _lines(axes[line], row, place(material, row["instance"]))
        axes[line][0].set_title(style.clipped(call.removeprefix("GET "), 44))
        axes[line][0].set_ylabel("time per item")
        axes[line][1].set_ylabel("time for the whole list")
        for axis in axes[line]:
            axis.set(xscale="log", yscale="log")
            style.seconds_axis(axis.yaxis)
        if not axes[line][1].lines:
            _unknown(axes[line][1])
    for axis in axes[-1]:
        axis.set_xlabel("items on a page")
        axis.set_xticks([1, 10, 50, 100], ["1", "10", "50", "100"])
        axis.xaxis.set_minor_locator(NullLocator())
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside upper right", ncols=3, columnspacing=1.3)
    says = (
        "Both axes are logarithmic. Where the line falls, larger pages are cheaper; where it turns up, they are not. The "
        "whole list is pages times the time of a page."
    )
    return Picture("page-size-cost", "What a page size costs", says, figure)


def _repeated(row: dict[str, Any]) -> dict[str, Any]:
    """`row` with the sizes that were seen more than once: a line between two single answers shows their chance."""
    return {**row, "sizes": [size for size in row["sizes"] if size["n"] >= LEAST_PAGES]}


def _lines(axes: list[Any], row: dict[str, Any], number: int) -> None:
    look = {"color": SERIES[number], "linestyle": DASHES[number], "marker": MARKERS[number], "markersize": 4.5}
    axes[0].plot(
        [size["items"] for size in row["sizes"]],
        [size["item_s"] for size in row["sizes"]],
        label=style.named(row["instance"], 15),
        **look,
    )
    known = [size for size in row["sizes"] if size["whole_s"] is not None]
    if known:
        axes[1].plot([size["items"] for size in known], [size["whole_s"] for size in known], **look)


def _unknown(axis: Any) -> None:
    axis.text(0.5, 0.5, "the list does not tell its total", transform=axis.transAxes, ha="center", va="center", color=style.MUTED)
    axis.set_yticks([])
    axis.grid(visible=False)
