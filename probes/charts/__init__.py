"""The pictures of a report, drawn by matplotlib (imported when the first is drawn), each from a run's columns and its document.

style (looks, SVG for a page, PNG), words (what each says of itself), then latencies, limits, lists, loads: one function a picture, which
gives None where the run does not carry it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from probes.charts.style import Picture
    from probes.report.material import Material

__all__ = ["pictures"]


def pictures(material: Material) -> dict[str, Picture]:
    """Every picture that the run carries, by name, in the order of the report."""
    from probes.charts import latencies, limits, lists, loads, style

    drawers: Iterable[Callable[[Material], Picture | None]] = (
        limits.safe_rates,
        limits.tank,
        latencies.ecdf,
        latencies.shift,
        latencies.phases,
        latencies.drift,
        lists.defaults,
        lists.sizes,
        loads.offered,
        loads.punctuality,
    )
    with style.styled():
        drawn = [draw(material) for draw in drawers]
        for picture in drawn:
            if picture is not None:
                style.settle(picture.figure)
    return {picture.name: picture for picture in drawn if picture is not None}
