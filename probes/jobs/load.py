"""`probes load`: the plan out of the words, the run folder around it, the progress on the terminal, what is told at the end."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from probes.arrivals import Spec, seconds
from probes.calls import Call
from probes.config import Instance
from probes.errors import CredentialsError, GuardStop, UsageError
from probes.findings import Finding, Severity
from probes.guards import GuardLimits, GuardName, refuse_unless_allowed
from probes.jobs.calls import calls_of
from probes.jobs.report import findings as told_findings
from probes.jobs.session import Settings, Told, credentials_refused, how_ended, open_run, reckoning, write_report
from probes.jobs.terminal import watched
from probes.load.child import Interrupted, run_load
from probes.load.outcome import LEAST, LoadOutcome, LoadProgress
from probes.load.plan import LoadPlan
from probes.runs import Run
from probes.wording import percent, plural, quoted


@dataclass(frozen=True, slots=True)
class Asked:
    """The words of the command."""

    names: list[str]
    rate_per_s: float | None = None
    duration: str = "60s"
    calls: tuple[str, ...] = ()
    calls_file: Path | None = None
    workers: int = 0
    max_refusals: int = 0
    max_in_flight: int | None = None
    max_requests: int | None = None
    max_error_share: float = 0.2
    objective: str = "10s"
    margin: float | None = None
    arrivals: str = "even"
    start_per_s: float = 0.0
    users: int | None = None
    production: str | None = None


OPTIONS = {
    "rate_per_s": "--rate",
    "users": "--users",
    "duration": "--for",
    "arrivals": "--arrivals",
    "start_per_s": "--from",
    "calls_file": "--calls-file",
    "workers": "--workers",
    "max_refusals": "--max-refusals",
    "max_in_flight": "--max-in-flight",
    "max_requests": "--max-requests",
    "max_error_share": "--max-errors",
    "objective": "--objective",
    "margin": "--margin",
    "production": "--production",
}
"""Fields of Asked by the command's options; calls and instances, which may repeat, apart."""


def do(settings: Settings, asked: Asked) -> tuple[Told, GuardStop | CredentialsError | KeyboardInterrupt | None]:
    """Runs the load; what it came to, and what is to be raised once that is told.

    That is the guard that ended it, refused credentials where every call met that, or, with --json, the interrupt.
    Raises UsageError when the instance may not be loaded so.
    """
    instance = _instance(settings, asked)
    plan = plan_of(instance, asked)
    with open_run(settings, words_of(asked), [instance]) as run:
        run.note(objective_s=plan.limits.objective_s)
        settings.say(f"Loading {instance.name} ({instance.url}), {_aim(plan)}; in flight at most {plan.in_flight}.")
        with live(settings) as progress:
            outcome, interrupt = _loaded(settings, plan, run, progress)
        document = outcome.document(run.place)
        with reckoning(settings, run):
            run.keep(loads=[{"instance": instance.name, **document}])
            stop = interrupt or credentials_refused(list(run.observations())) or _stop(outcome, run)
            run.keep(findings=[finding.document() for finding in findings(instance.name, outcome)])
            run.finish(f"failed: {run.unkept}" if stop is None and run.unkept else how_ended(stop))
            found = told_findings(write_report(run))
    return Told(document, text(instance.name, outcome, run.place), found, run.unkept), run.interrupt or stop


def _loaded(
    settings: Settings, plan: LoadPlan, run: Run, progress: Callable[[LoadProgress], None] | None
) -> tuple[LoadOutcome, Interrupted | None]:
    """What the load came to, and the interrupt that ended it. Raises that without --json: what a script asked for is one document."""
    try:
        return run_load(plan, run, progress=progress, origin_s=run.origin_s), None
    except Interrupted as interrupt:
        if not settings.as_json:
            raise
        return interrupt.outcome, interrupt


def _stop(outcome: LoadOutcome, run: Run) -> GuardStop | None:
    """The guard that is to be raised; a folder that takes no more is no guard's doing, and is said by the run."""
    if outcome.stopped_by == GuardName.FOLDER:
        run.unkept = run.unkept or outcome.why
        return None
    return None if outcome.stopped_by is None else GuardStop(f"Stopped by guard '{outcome.stopped_by}': {outcome.why}")


def words_of(asked: Asked) -> list[str]:
    """The command again, as the run keeps it from its first moment: what was asked, and guards where they are not the usual ones."""
    usual = Asked([])
    words = [word for name in asked.names for word in ("-i", name)]
    for field, option in OPTIONS.items():
        value = getattr(asked, field)
        if value != getattr(usual, field) or option == "--for":
            words += [option, f"{value:g}" if isinstance(value, float) else str(value)]
    return ["load", *words, *(word for call in asked.calls for word in ("--call", call))]


def plan_of(instance: Instance, asked: Asked) -> LoadPlan:
    """The plan that the words make. Raises UsageError."""
    refuse_unless_allowed(instance, asked.production)
    if (asked.rate_per_s is None) == (asked.users is None):
        raise UsageError("Say how hard: either --rate R (requests a second) or --users N (each sends when its last call has returned).")
    if asked.rate_per_s is not None and not 0.0 < asked.rate_per_s < math.inf:
        raise UsageError(f"--rate {asked.rate_per_s:g}: write requests a second, above 0.")
    duration_s = seconds(asked.duration)
    return LoadPlan(
        instance,
        _calls(asked),
        {} if asked.rate_per_s is None else _schedule(asked, asked.rate_per_s),
        duration_s,
        max_in_flight=asked.max_in_flight,
        limits=GuardLimits(
            max_refusals=asked.max_refusals,
            max_error_share=asked.max_error_share,
            objective_s=seconds(asked.objective),
            margin=asked.margin,
            max_requests=asked.max_requests,
        ),
        users=asked.users,
        workers=asked.workers,
    )


def findings(instance: str, outcome: LoadOutcome) -> list[Finding]:
    """What only the load itself knows; what its observations tell is found by the report, as of every run."""
    if outcome.limit_per_s is None:
        return []
    return [Finding("own_wait", Severity.WARNING, instance, _limit(outcome), (), "Allow more in flight, or load from more workers.")]


def _failed(outcome: LoadOutcome) -> str:
    """How many failed, and how, the most frequent first."""
    others = {name: count for name, count in outcome.outcomes.items() if name not in ("ok", "throttled", "cancelled")}
    how = ", ".join(f"{count} {name}" for name, count in sorted(others.items(), key=lambda one: -one[1]))
    return f"{outcome.errors} failed" + (f" ({how})" if outcome.errors else "")


def text(instance: str, outcome: LoadOutcome, folder: str) -> str:
    """The outcome for a person."""
    asked = "as fast as answers come" if outcome.asked_per_s is None else f"{outcome.asked_per_s:g}/s"
    rates = f"offered {_shown(outcome.offered_per_s)}/s, achieved {_shown(outcome.achieved_per_s)}/s"
    lines = [
        f"{instance}: asked {asked}, {rates}, {outcome.seconds:.1f} s",
        f"  {plural(outcome.requests, 'request')}, {outcome.refused} refused, {_failed(outcome)}, {percent(outcome.late_share, 1)} late",
        f"  latency from due: {_latencies(outcome)}",
    ]
    if outcome.least_remaining is not None:
        lines.append(f"  least remaining budget {outcome.least_remaining:g}")
    if outcome.limit_per_s is not None:
        lines.append(f"  {_limit(outcome)}")
    lines += [f"  {loss}" for loss in outcome.lost]
    if outcome.stopped_by is not None:
        by = "" if outcome.stopped_by == GuardName.FOLDER else f" by guard '{outcome.stopped_by}'"
        lines.append(f"  stopped{by}: {outcome.why}")
    return "\n".join([*lines, f"Report: {folder}/report.html", f"Next: probes history {quoted(Path(folder).parent.as_posix())}"])


def _limit(outcome: LoadOutcome) -> str:
    return f"generator or in-flight limit reached at {outcome.limit_per_s:g}/s; {percent(outcome.late_share, 1)} of the requests were late."


def _latencies(outcome: LoadOutcome) -> str:
    told = [f"{name} {value:.3f} s" for name, value in outcome.latency_s.items() if value is not None]
    few = outcome.requests < LEAST["p50"]
    short = f"{plural(outcome.requests, 'request is', 'requests are')} too few for a percentile"
    return ", ".join(told) or (short if few else "half of the calls and more brought no answer")


def _aim(plan: LoadPlan) -> str:
    how = f"{plan.users} users without pause" if plan.asked_per_s is None else f"{plan.asked_per_s:g} requests/s"
    return f"{how} for {plan.duration_s:g} s"


def _instance(settings: Settings, asked: Asked) -> Instance:
    chosen = settings.load().pick(asked.names)
    if len(chosen) != 1:
        raise UsageError(f"A load goes to one instance, not {len(chosen)}: say -i NAME once.")
    return chosen[0]


def _schedule(asked: Asked, rate_per_s: float) -> Spec:
    if asked.start_per_s and asked.arrivals != "ramp":
        raise UsageError(f"--from is the first rate of a ramp: add --arrivals ramp, or leave it out of arrivals that are {asked.arrivals}.")
    if asked.arrivals == "ramp":
        return {"kind": "ramp", "start_per_s": asked.start_per_s, "end_per_s": rate_per_s}
    if asked.arrivals not in {"even", "poisson"}:
        raise UsageError(f"--arrivals {asked.arrivals}: use even, poisson or ramp.")
    return {"kind": asked.arrivals, "rate_per_s": rate_per_s}


def _calls(asked: Asked) -> tuple[Call, ...]:
    calls = calls_of(asked.calls, asked.calls_file)
    if not calls:
        raise UsageError("Say what to send: --call 'GET /api/v1/users/self' or --calls-file FILE.")
    return calls


@contextmanager
def live(settings: Settings) -> Iterator[Callable[[LoadProgress], None] | None]:
    """What a load tells its progress to: a line that is redrawn, on a terminal only; else None."""
    if not watched(settings):
        yield None
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), refresh_per_second=4, transient=True) as live:
        yield lambda progress: live.update(line(progress))


def line(progress: LoadProgress) -> str:
    """One line of progress: offered, achieved, in flight, refusals, remaining, p95."""
    return (
        f"{progress.elapsed_s:5.1f} s  offered {_shown(progress.offered_per_s, 3)}/s  achieved {_shown(progress.achieved_per_s, 3)}/s  "
        f"in flight {progress.in_flight}  requests {progress.requests}  refused {progress.refused}  "
        f"remaining {_shown(progress.remaining, 3)}  p95 {_shown(progress.p95_s, 3)} s"
    )


def _shown(value: float | None, digits: int = 4) -> str:
    return "-" if value is None else f"{value:.{digits}g}"
