"""How pictures look: one figure style, colours that the page can turn for dark screens, SVG made fit to stand inside a page.

Colours of series are of matplotlib's `okabe_ito` sequence (Okabe & Ito 2008), which colour-blind readers tell apart; series also differ
by dash and marker. Vermillion is kept for refusals and limits. In SVG each colour becomes a CSS variable: the page chooses light or dark.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence, Sized
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probes.errors import RunFolderError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, RULE, PAPER, BAND = "#1b2027", "#5d6672", "#dfe3e8", "#fefefe", "#eef1f4"
SERIES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#8a6d3b")
ALARM = "#d55e00"
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)), (0, (3, 1, 1, 1, 1, 1)), "--")
MARKERS = ("o", "s", "^", "D", "v", "P")
VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    RULE: "var(--rule)",
    PAPER: "var(--paper)",
    BAND: "var(--band)",
    ALARM: "var(--alarm)",
    **{colour: f"var(--s{number})" for number, colour in enumerate(SERIES, 1)},
}
WIDTH_IN = 7.4
MOST_PANELS = 6
MOST_SERIES = len(SERIES)
MOST_POINTS = 1_200

RC: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9.0,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "lines.linewidth": 1.8,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "xtick.major.size": 3.0,
    "ytick.major.size": 0.0,
    "xtick.minor.size": 0.0,
    "ytick.minor.size": 0.0,
    "axes.unicode_minus": True,
    "figure.constrained_layout.h_pad": 0.06,
    "figure.constrained_layout.w_pad": 0.06,
    "text.parse_math": False,
    "axes.formatter.use_mathtext": False,
}


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture: its file name without suffix, title, how to read it in a sentence or two (also its text for who cannot see it)."""

    name: str
    title: str
    says: str
    figure: Figure

    def svg(self) -> str:
        """The picture as an `<svg>` element to stand inside a page: no XML head, ids of its own, colours as CSS variables."""
        text = io.StringIO()
        with styled(svg_hashsalt=self.name):
            self.figure.savefig(text, format="svg", metadata={"Date": None}, transparent=True)
        return embedded(text.getvalue(), self.name, f"{self.title}. {self.says}")

    def write_png(self, folder: Path) -> Path:
        """Writes NAME.png into `folder`. Raises RunFolderError when it cannot be written."""
        path = folder / f"{self.name}.png"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with styled():
                self.figure.savefig(path, format="png", dpi=160, metadata={"Software": None, "Description": self.says})
        except OSError as error:
            with suppress(OSError):  # half a picture is none
                path.unlink(missing_ok=True)
            raise RunFolderError(f"{path} cannot be written: {error.strerror}.") from None
        return path


@contextmanager
def styled(**more: Any) -> Iterator[None]:
    """The style for as long as a figure is being drawn or written; `more` settings by their names, _ for the point."""
    import matplotlib as mpl

    changes: dict[Any, Any] = {name.replace("_", ".", 1): value for name, value in more.items()}
    with mpl.rc_context({**RC, **changes}), warnings.catch_warnings():
        # a name in letters that the font lacks shows as boxes in the PNG; on the page the reader's own font has them
        warnings.filterwarnings("ignore", message="Glyph")
        yield


def canvas(title: str, foot: str, height_in: float, rows: int = 1, columns: int = 1, **more: Any) -> tuple[Figure, list[list[Axes]]]:
    """A figure with its title at the top left and its foot (n, failures, time, version) at the bottom left; axes by row and column.

    It is to be laid out by `settle` before it is written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_IN, height_in))
    figure.suptitle(title, x=0.003, ha="left", fontsize=11.0, fontweight="bold")
    figure.supxlabel(foot, x=0.003, ha="left", fontsize=7.5, color=MUTED)
    axes = figure.subplots(rows, columns, squeeze=False, **more)
    return figure, [list(row) for row in axes]


def settle(figure: Figure) -> None:
    """Lays the figure out once and for all: each drawing would move it by a hair, and a file made again should be the same.

    A figure that keeps its layout engine is drawn twice for each file.
    """
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    ConstrainedLayoutEngine().execute(figure)


def grid(count: int) -> tuple[int, int]:
    """(rows, columns) of so many small multiples, three beside each other."""
    columns = min(count, 3)
    return -(-count // columns), columns


def seconds_axis(axis: Any) -> None:
    """Seconds for people along a logarithmic axis: 1, 2, 5 of each decade, as 5 ms, 0.2 s, 10 s."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, _: short_seconds(value)))
    axis.set_minor_locator(NullLocator())


def whole_axis(axis: Any) -> None:
    """Whole numbers along an axis, at whole places, thousands parted."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins="auto", integer=True))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def short_seconds(value: float) -> str:
    """0.0005 -> 0.5 ms, 0.2 -> 0.2 s, 300 -> 300 s."""
    return "0" if value == 0 else f"{value * 1000:g} ms" if value < 0.1 else f"{value:g} s"


def clipped(text: str, most: int) -> str:
    """`text` in at most so many characters and on one line; control characters, which XML cannot carry, become a sign."""
    clean = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return clean if len(clean) <= most else clean[: most - 1] + "…"


def named(name: str, most: int) -> str:
    """A name in at most so many characters; its middle goes, because names of one school differ at their ends."""
    clean = clipped(name, len(name) + 1)
    head = (most - 1) // 2
    return clean if len(clean) <= most else f"{clean[:head]}…{clean[len(clean) - (most - 1 - head) :]}"


def columns_of(labels: Sequence[str], room: int = 100) -> int:
    """Columns of a legend that fits `room` characters: all in one row where they fit, else as many as the longest label allows."""
    widths = [len(label) + 6 for label in labels]
    return max(1, len(labels) if sum(widths) <= room else room // max(widths, default=1))


def legend(axis: Axes, room: int = 100, handles: Sequence[Any] | None = None) -> None:
    """A legend above the axis in as many columns as `room` characters allow; the figure grows by its further rows."""
    shown = list(handles) if handles is not None else axis.get_legend_handles_labels()[0]
    labels = [str(handle.get_label()) for handle in shown]
    columns = columns_of(labels, room)
    made = axis.legend(
        shown, labels, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=columns, columnspacing=1.4, handlelength=1.9, borderaxespad=0.2
    )
    # the layout would narrow the axis for a legend that is wider than it; an empty title of as many rows keeps the height alone
    made.set_in_layout(False)
    rows = max(1, -(-len(labels) // columns))
    axis.set_title("\n".join([" "] * rows), fontsize=11.0)
    figure = axis.get_figure(root=True)
    assert figure is not None
    figure.set_figheight(figure.get_figheight() + 0.18 * (rows - 1))


def thinned(values: Sized, most: int = MOST_POINTS) -> list[int]:
    """Indices of at most `most` of the values, evenly spread, the first and the last among them."""
    count = len(values)
    if count <= most:
        return list(range(count))
    return sorted({round(index * (count - 1) / (most - 1)) for index in range(most)})


def embedded(svg: str, name: str, says: str) -> str:
    """SVG of matplotlib's making as an element for a page (see `Picture.svg`)."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r"<!--.*?-->\s*", "", body, flags=re.DOTALL)
    used = set(re.findall(r'(?:xlink:href="#|url\(#)([^")]+)', body))
    body = re.sub(r' id="([^"]+)"', lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", body)
    body = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{name}-", body)
    body = re.sub(r"font: (\d+ )?([\d.]+)px [^;\"]*", _font, body)
    for colour, variable in VARIABLES.items():
        body = re.sub(rf"{colour}\b", variable, body, flags=re.IGNORECASE)
    # places of a path shorter; what a reader reads, the text between tags, stays as it is
    body = re.sub(r"<[^>]*>", lambda tag: re.sub(r"(\d+\.\d{2})\d+", r"\1", tag[0]), body)
    body = re.sub(r'^<svg ([^>]*?)width="[^"]*"', r"<svg \1", body)
    body = re.sub(r'^<svg ([^>]*?)height="[^"]*"', r"<svg \1", body)
    label = says.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    return body.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1).strip()


def _font(match: re.Match[str]) -> str:
    """The page's own font at the size and weight that matplotlib chose."""
    weight = f"font-weight: {match[1].strip()}; " if match[1] else ""
    return f"{weight}font-size: {match[2]}px"
