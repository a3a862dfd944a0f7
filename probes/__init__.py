"""canvas-probes: how an API that throttles like Canvas behaves, and how fast a job may safely go.

The map, in reading order (nothing here is imported before it is used):

    words    errors, observation, bucket, book, schedule, calls, stats, clock
    known    config, dialects, explain, runs
    edges    client, pages, limiter, load, simulator
    ask      scenarios
    infer    fit, twin, estimate, search, compare, plan, rules, findings
    tell     report, charts, history, spreadsheet, metrics, exporter
    start    jobs, cli
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from probes.limiter import Limiter

__version__ = "0.1.0"
__all__ = ["Limiter", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "Limiter":
        from probes.limiter import Limiter

        return Limiter
    raise AttributeError(f"module 'probes' has no attribute '{name}'")
