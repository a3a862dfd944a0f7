"""`probes plan`: how to make N calls of what a run measured, and a rehearsal of the recommendation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from probes.buckets import ceilings_of_run, contradicted_of_run
from probes.errors import ProbesError, UsageError
from probes.estimate import Estimate, estimate
from probes.jobs.session import Settings, Told
from probes.jobs.terminal import answers_to, progress
from probes.mixture import mixture
from probes.observation import Observation
from probes.plan import Plan, plan
from probes.prices import Prices
from probes.rates import relative_error, safe_rate
from probes.report import facts
from probes.runs import Run
from probes.safety import ODDS
from probes.search.ratio_plan import ratio_plan
from probes.search.ratio_rates import drawn
from probes.signatures import Regime
from probes.stats import Interval
from probes.twin import Twin
from probes.wording import heard, percent, quoted, rounded_down

SCENARIOS = ("throttling", "rate")
LONG_CALLS = 2000
"""A plan of more calls is announced: it takes seconds."""


def do(settings: Settings, folder: Path, calls: int, instance: str | None, rehearse: bool) -> tuple[Told, KeyboardInterrupt | None]:
    """Tells `probes.plan/1`, and the interrupt that ended the rehearsal, to be raised after telling; without --json that is raised at once.

    Raises RunFolderError, UsageError, and ProbesError when the run holds no bucket to plan with, or one that `--confirm` contradicted.
    """
    if calls < 1:
        raise UsageError("--calls must be at least 1.")
    run = Run.open(folder)
    seen, found = _estimate(run, None if instance is None else heard(instance))
    if (said := contradicted_of_run(run, found.instance)) is not None:
        again = f"measure again with 'probes rate -i {quoted(found.instance)}'."
        raise ProbesError(f"What {folder} found safe at '{found.instance}' is not: {said} when it was tried; {again}")
    if calls > LONG_CALLS and (found.identified or found.regime is Regime.REFUSALS):
        settings.say(f"Replaying {calls:,} calls by each strategy, which takes up to a minute.")
    ceilings = ceilings_of_run(run, found.instance)
    asked = calls, ceilings.get("max_rate"), ceilings.get("max_in_flight")
    planned, twin = _by_refusals(run, seen, found, *asked) or _by_headers(run, found, *asked)
    rehearsal, interrupt = _rehearsed(settings, planned, twin, asked) if rehearse else (None, None)
    notes = _untried(run, found.instance)
    document = {**planned.document(rehearsal), "notes": notes}
    run.keep(plans=[*run.manifest.get("plans", []), {"instance": found.instance, **document}])
    several = len({o.instance for o in seen}) > 1
    told = text(found.instance, planned, rehearsal, folder, notes, several=several)
    return Told(document, told, unkept=run.unkept), interrupt


def _rehearsed(
    settings: Settings, planned: Plan, twin: Twin, asked: tuple[int, float | None, int | None]
) -> tuple[dict[str, Any] | None, KeyboardInterrupt | None]:
    """How the rehearsal went; with --json none, and the interrupt, where that ended it, as the plan itself stands."""
    from probes.jobs.rehearsal import MOST_CALLS, rehearse

    settings.say(f"Rehearsing {planned.recommended} against the simulator with this bucket.")
    calls, max_rate, max_in_flight = asked
    try:
        with progress(settings, f"rehearsing {planned.recommended.replace('_', '-')}", min(calls, MOST_CALLS)) as bar:
            return rehearse(planned, twin, max_rate, max_in_flight, answers_to(bar)), None
    except KeyboardInterrupt as interrupt:
        if not settings.as_json:
            raise
        return None, interrupt


def _by_headers(run: Run, found: Estimate, calls: int, max_rate: float | None, max_in_flight: int | None) -> tuple[Plan, Twin]:
    """The plan by the bucket that headers showed, and its twin. Raises ProbesError where they show none."""
    mixed = mixture(found, _shares(run, found.instance))
    if mixed is None:
        raise ProbesError(_no_bucket(run, found))
    twin, prices = mixed
    rate = _safe_rate(found, twin, prices, calls)
    low, error = (None, 0.0) if rate is None else (min(rate.low, _piled(run, found.instance)), relative_error(rate))
    return plan(twin, calls, ODDS, max_rate=max_rate, max_in_flight=max_in_flight, low=low, error=error), twin


def _told(run: Run, instance: str) -> list[dict[str, Any]]:
    """Entries of the run for `instance` that tell what is safe."""
    return [one for one in facts.rates(run.manifest) if one["instance"] == instance and one["safe"]]


def _piled(run: Run, instance: str) -> float:
    """The rate that the run recommends where calls stand still together, which no twin foretells; inf where they do not."""
    told = _told(run, instance)
    stalls = [one for one in told if any(sign.get("kind") == "stalls" for sign in one.get("signs") or () if isinstance(sign, dict))]
    rates = [facts.number(one["safe"]["rate_per_s"]) for one in stalls]
    return min((rate["low"] for rate in rates if rate is not None), default=math.inf)


def _untried(run: Run, instance: str) -> list[str]:
    """What the run says of a rate that it did not try: a server that slows down first takes longer than is foretold here."""
    signs = [sign for one in facts.rates(run.manifest) if one["instance"] == instance for sign in one.get("signs") or ()]
    said = [str(sign.get("says")) for sign in signs if isinstance(sign, dict) and sign.get("kind") == "untried"]
    return [f"{one} Where it does not, the calls take longer than foretold." for one in dict.fromkeys(said)]


def _no_bucket(run: Run, found: Estimate) -> str:
    if found.regime is Regime.UNTHROTTLED:
        return f"{run.folder} met no limit at '{found.instance}' in {found.n} calls: there is nothing to plan by; keep to the rate it told."
    if found.window is not None:
        return f"{run.folder} shows no bucket to plan by at '{found.instance}': {found.window.says}"
    if found.identified and (failed := _unanswered(run, found.instance)):
        again = f"measure again without: 'probes rate -i {quoted(found.instance)}'."
        return f"{run.folder} has no price to plan by of {', '.join(failed)}, which '{found.instance}' never answered as asked; {again}"
    said = f"{run.folder} does not identify the bucket of '{found.instance}' ({found.regime})"
    paces = [rate for one in _told(run, found.instance) if (rate := facts.number(one["safe"]["rate_per_s"])) is not None]
    if paces:
        pace = rounded_down(min(rate["low"] for rate in paces))
        return f"{said}, only that {pace} calls/s are safe under its ceilings: go at that, or raise them and measure again."
    return f"{said}: make a run with 'probes rate -i {quoted(found.instance)}'."


def _unanswered(run: Run, instance: str) -> list[str]:
    """Calls of a job which the run found never to be answered as asked."""
    mine = [one for one in facts.rates(run.manifest) if one["instance"] == instance]
    signs = ((one, sign) for one in mine for sign in one.get("signs") or () if isinstance(sign, dict))
    return [str(one["call"]) for one, sign in signs if sign.get("kind") == "no_answer"]


def _by_refusals(
    run: Run, seen: Sequence[Observation], found: Estimate, calls: int, max_rate: float | None, max_in_flight: int | None
) -> tuple[Plan, Twin] | None:
    """The same by refusals alone; None where headers tell, or the run told no rate."""
    told = [
        one for one in facts.entries(run.manifest, "rates", "instance", "ratios") if one["instance"] == found.instance and one["ratios"]
    ]
    if found.regime is not Regime.REFUSALS or not told:
        return None
    mine = [o for o in seen if o.instance == found.instance]
    ratios = told[0]["ratios"]
    under = drawn(mine, mine, None if ratios.get("at_least") else _whole(ratios.get("in_flight_limit")), calls)
    return None if under is None else (ratio_plan(under, ODDS, max_rate, max_in_flight), under.middle)


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


def text(
    name: str, planned: Plan, rehearsal: dict[str, Any] | None, folder: Path, notes: Sequence[str] = (), *, several: bool = False
) -> str:
    """A table of the strategies, the recommendation first; the limiter is told which instance is meant where the run has several."""
    lines = [f"{name}: {planned.calls} calls, best {planned.recommended.replace('_', '-')}.", ""]
    lines.append(f"{'strategy':<14}{'finish':>12}{'odds of any refusal':>22}  how")
    for strategy in planned.strategies:
        how = (
            f"{rounded_down(strategy.rate_per_s)} calls/s"
            if strategy.rate_per_s
            else f"{strategy.in_flight} in flight"
            if strategy.in_flight
            else ""
        )
        how = "through probes.Limiter" if strategy.name == "level_aware" else how
        lines.append(f"{strategy.name:<14}{_duration(strategy.seconds):>12}{percent(strategy.refusal_odds, 1):>21}   {how}")
    if rehearsal is not None:
        took, forecast = _duration(rehearsal["seconds"]), _duration(rehearsal["forecast_seconds"])
        lines += ["", f"Rehearsed {rehearsal['calls']} calls: {rehearsal['refused']} refused, {took} (forecast {forecast})."]
    if notes:
        lines += ["", *(f"Note: {note}" for note in notes)]
    meant = f', instance="{name}"' if several else ""
    return "\n".join([*lines, "", f'Next: limiter = probes.Limiter.from_run("{folder.as_posix()}"{meant})'])


def _estimate(run: Run, instance: str | None) -> tuple[Sequence[Observation], Estimate]:
    """What the run asked to know the limit, and the estimate of `instance`, or of the only one. Raises UsageError, ProbesError."""
    seen = list(run.observations())
    asked: Sequence[Observation] = [o for o in seen if o.scenario in SCENARIOS] or seen
    names = sorted({o.instance for o in asked})
    if instance is not None and instance not in names:
        raise UsageError(f"{run.folder} has no instance '{instance}': it has {', '.join(names) or 'none'}.")
    if instance is None and len(names) > 1:
        raise UsageError(f"{run.folder} has several instances ({', '.join(names)}): say which with -i NAME.")
    found = estimate(asked, instance)
    if found is None:
        raise ProbesError(f"{run.folder} holds no answered call to plan with: make a run with 'probes rate -i NAME'.")
    return asked, found


def _shares(run: Run, instance: str) -> dict[str, float] | None:
    """In which shares the run was asked to mix its calls; None where it was not: then as often as each was made."""
    for entry in facts.entries(run.manifest, "rates", "instance", "mix"):
        mix = entry["mix"]
        if (
            entry["instance"] == instance
            and isinstance(mix, dict)
            and mix
            and all(isinstance(n, float | int) and n > 0 for n in mix.values())
        ):
            return mix
    return None


def _safe_rate(found: Estimate, twin: Twin, prices: Prices, calls: int) -> Interval | None:
    """The safe rate for a job of this length; None when no rate is refused."""
    answer = safe_rate(twin, found, prices, calls)
    return None if answer is None else answer[0]


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
