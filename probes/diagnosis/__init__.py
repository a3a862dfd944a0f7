"""Why a job is slow, stalls or fails: causes of a closed list, named from observations, each with the evidence for and against it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from probes.diagnosis import answers, budget, edge, times, way, work
from probes.diagnosis.base import KINDS, Cause, Job, Surroundings
from probes.diagnosis.symptoms import Symptoms
from probes.observation import Observation

__all__ = ["KINDS", "Cause", "Job", "Surroundings", "Symptoms", "diagnose", "failed", "remarks"]

EXPERTS: tuple[Callable[[Symptoms], Iterable[Cause]], ...] = (
    times.client,
    times.dns,
    times.tls,
    way.network,
    edge.edge,
    edge.maintenance,
    answers.credentials,
    answers.permission,
    answers.no_user_agent,
    answers.wrong_url,
    work.capacity,
    work.slow_call,
    work.timeout_too_short,
    budget.throttle,
    budget.shared_token,
)
"""One a kind; each looks at the same symptoms and knows nothing of the others' answers."""


def diagnose(observations: Sequence[Observation], job: Job, surroundings: Surroundings | None = None) -> list[Cause]:
    """The causes that the observations of one instance show for such a job, the surest first; empty when none is found. Pure."""
    symptoms = Symptoms.of(observations, job, surroundings or Surroundings())
    found = [cause for expert in EXPERTS for cause in expert(symptoms)]
    return sorted(found, key=lambda cause: -cause.confidence)


def failed(observations: Sequence[Observation], job: Job) -> dict[str, int]:
    """How many requests of the job's own calls were not answered as asked: outcome -> count, the most frequent first. Pure."""
    return {outcome.value: count for outcome, count in Symptoms.of(observations, job, Surroundings()).failed.items()}


def remarks(observations: Sequence[Observation], job: Job) -> list[str]:
    """What the observations cannot tell of such a job, and what to quote of failures inside the application, one sentence each. Pure."""
    symptoms = Symptoms.of(observations, job, Surroundings())
    return [*answers.inside(symptoms), *budget.untold(symptoms)]
