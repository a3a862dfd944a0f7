"""Load by Locust in a child process: the plan, the child and its watch, the outcome. No Locust and no gevent on this side."""

from __future__ import annotations

from probes.load.child import run_load
from probes.load.outcome import LoadOutcome, LoadProgress
from probes.load.plan import LoadPlan

__all__ = ["LoadOutcome", "LoadPlan", "LoadProgress", "run_load"]
