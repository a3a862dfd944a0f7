"""Plain `locust -f locustfiles/NAME.py`: the words it understands besides Locust's own, and the settings that they make.

The instance, its ceilings and where its token is come from `probes.toml`, as everywhere; without --instance a simulated one is taken. The
web page is bound to loopback unless --web-host says otherwise. With --master and --worker each machine needs the file and the token; all
other words come from the master.
"""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _settings import LoadSettings

from probes.arrivals import Spec, check, mean_per_s, peak_per_s, seconds
from probes.calls import Call, parse, parse_lines
from probes.config import Config, Instance, Kind, load
from probes.dialects import dialect
from probes.errors import UsageError
from probes.guards import GuardLimits, refuse_above_ceilings, refuse_unless_allowed, refuse_writes
from probes.runs import OBSERVATIONS, Run

ALONE = "bulk_enrollments"
"""The job that ends when all of it was sent: no two processes may share it."""
USERS = 64
STOP_S = "60"
"""Locust moves users when a worker comes or goes: those that must stop finish their request first."""
COMMON: tuple[tuple[str, dict[str, Any]], ...] = (
    ("--instance", {"default": "", "help": "An instance of probes.toml; default: a simulated one."}),
    ("--probes-config", {"default": "", "include_in_web_ui": False, "help": "Configuration; default ./probes.toml, then the user's."}),
    ("--production", {"default": "", "include_in_web_ui": False, "help": "The name of a production instance, again, to load it."}),
    ("--out", {"default": "results", "include_in_web_ui": False, "help": "Where run folders are made."}),
    ("--rate", {"type": float, "default": 10.0, "help": "Requests a second."}),
    (
        "--for",
        {
            "dest": "probes_for",
            "default": "",
            "help": "How long at most: 60s, 2m, 1h; default 60s, or as long as the steps or bursts take.",
        },
    ),
    ("--call", {"action": "append", "include_in_web_ui": False, "help": "A call as 'GET /api/v1/users/self'; may repeat."}),
    ("--calls-file", {"default": "", "include_in_web_ui": False, "help": "A file of calls, one a line, a weight before each."}),
    ("--max-refusals", {"type": int, "default": 0, "help": "Refusals that are allowed; one more stops the run."}),
    ("--max-requests", {"type": int, "default": 0, "help": "Requests in all; 0 is no limit."}),
    ("--objective", {"default": "", "help": "Latency that 95 of 100 answers must keep, as 2s; beyond it the run stops."}),
    ("--margin", {"type": float, "default": -1.0, "help": "Least budget that may remain; below 0: not watched."}),
)
OWN: dict[str, tuple[tuple[str, dict[str, Any]], ...]] = {
    "steady": (("--arrivals", {"choices": ("even", "poisson"), "default": "even", "help": "How requests follow each other."}),),
    "ramp": (
        ("--from", {"dest": "probes_from", "type": float, "default": 1.0, "help": "The first rate; --rate is the last."}),
        ("--step", {"type": float, "default": 1.0, "help": "How much faster each step is."}),
        ("--hold", {"default": "10s", "help": "How long each step lasts."}),
    ),
    "burst": (
        ("--size", {"type": int, "default": 5, "help": "Requests at one instant."}),
        ("--every", {"default": "60s", "help": "From one burst to the next."}),
        ("--count", {"type": int, "default": 1, "help": "How many bursts."}),
    ),
    ALONE: (("--course", {"default": "", "help": "The course whose active enrolments are inactivated."}),),
}


def arguments(name: str) -> Callable[..., None]:
    """A listener that teaches Locust's command line and web page the words of the locustfile `name`."""

    def listener(parser: Any, **_: Any) -> None:
        for word, how in (*COMMON, *OWN.get(name, ())):
            parser.add_argument(word, **how)
        parser.set_defaults(web_host="127.0.0.1", num_users=USERS, spawn_rate=float(USERS), stop_timeout=STOP_S)

    return listener


def settings(name: str, options: Namespace, *, worker: bool) -> LoadSettings:
    """The settings that the words make, and a run folder for what is measured (a worker has none). Raises ProbesError."""
    if name == ALONE and (options.master or worker):
        raise UsageError(f"{ALONE} runs in one process, as each would send all of the job: leave out --master, --worker and --processes.")
    instance = _instance(load(Path(options.probes_config) if options.probes_config else None), options.instance)
    calls = _calls(name, options, instance)
    spec, duration_s = _schedule(name, options, seconds(options.probes_for or "60s"))
    if options.probes_for:
        duration_s = min(duration_s, seconds(options.probes_for))
    check(spec)
    refuse_unless_allowed(instance, options.production or None)
    refuse_writes(instance, calls)
    if name == ALONE:
        refuse_writes(instance, [Call("DELETE", "/api/v1/courses/1/enrollments/1?task=inactivate")])
    refuse_above_ceilings(instance, peak_per_s(spec), None)
    users = options.num_users or USERS
    run = None if worker else Run.create(Path(options.out), ["locust", name], [instance])
    return LoadSettings(
        instance=instance,
        calls=tuple(calls),
        schedule=spec,
        duration_s=duration_s,
        max_in_flight=min(users, instance.max_in_flight or users),
        limits=_limits(options, instance),
        observations=run.folder / OBSERVATIONS if run else None,
        origin_s=time.perf_counter(),
        scenario=f"load.{name}",
        by_hand=True,
        options={"course": getattr(options, "course", "")},
    )


def finish(settings: LoadSettings, document: dict[str, Any]) -> None:
    """Says in the run's manifest how a run by hand ended."""
    if settings.by_hand and settings.observations is not None:
        why = document.get("why")
        asked = mean_per_s(settings.schedule, settings.duration_s)
        told = ("handed", "requests", "refused", "unsent", "stopped_by", "why", "lost")
        facts: dict[str, Any] = {"asked_per_s": asked, **{key: document[key] for key in told if key in document}}
        Run.open(settings.observations.parent).finish("done" if why is None else f"guard: {why}", locust=facts)


def _instance(config: Config, name: str) -> Instance:
    if name:
        return config.pick([name])[0]
    named = list(config.instances.values())
    simulated = [instance for instance in named if instance.kind is Kind.SIMULATED]
    if simulated or len(named) == 1:
        return (simulated or named)[0]
    raise UsageError(f"Say which instance with --instance: {config.source} names {', '.join(sorted(config.instances))}.")


def _calls(name: str, options: Namespace, instance: Instance) -> list[Call]:
    if options.calls_file:
        path = Path(options.calls_file)
        try:
            return parse_lines(path.read_text(encoding="utf-8-sig").splitlines(), str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{path} cannot be read: {error}.") from None
    if options.call:
        return [parse(text) for text in options.call]
    if name == "mix":
        raise UsageError("A mix needs its calls: --calls-file FILE, one a line, a weight before each.")
    known = dialect(instance.dialect)
    return [Call("GET", known.list_path if name == "pages" else known.self_path)]


def _schedule(name: str, options: Namespace, duration_s: float) -> tuple[Spec, float]:
    if name == "ramp":
        if not options.step > 0.0 or options.probes_from > options.rate:
            raise UsageError(f"A ramp rises: --step above 0, not {options.step:g}, and --from no more than --rate {options.rate:g}.")
        hold_s = seconds(options.hold)
        count = int((options.rate - options.probes_from) / options.step + 1e-9) + 1
        rates = [options.probes_from + place * options.step for place in range(count)]
        return {"kind": "steps", "rates_per_s": rates, "each_s": hold_s}, hold_s * count
    if name == "burst":
        every_s = seconds(options.every)
        return {"kind": "burst", "size": options.size, "every_s": every_s, "count": options.count}, every_s * options.count
    kind = getattr(options, "arrivals", "even")
    return {"kind": kind, "rate_per_s": options.rate}, 1e9 if name == ALONE else duration_s


def _limits(options: Namespace, instance: Instance) -> GuardLimits:
    return GuardLimits(
        max_refusals=options.max_refusals,
        objective_s=seconds(options.objective) if options.objective else None,
        margin=options.margin if options.margin >= 0.0 else None,
        max_requests=options.max_requests or None,
    ).under(instance.max_requests)
