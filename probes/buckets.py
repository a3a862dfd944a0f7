"""The buckets that a run estimated, and the ceilings that its instances had."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from probes.bucket import BucketSettings
from probes.errors import RunFolderError
from probes.runs import Run
from probes.wording import quoted

Told = TypeVar("Told")


def bucket_of_run(folder: Path, instance: str | None = None) -> tuple[str, BucketSettings]:
    """The name of `instance`, or of the only one that the run has a bucket of, and its bucket.

    Raises RunFolderError for none, or several.
    """
    return _only(folder, instance, _bucket)


def together_of_run(folder: Path, instance: str | None = None) -> tuple[str, tuple[int, float | None]]:
    """The same where no header told a bucket: how many calls may be out at one time, and calls/s where one without a pause is too many.

    Raises RunFolderError for none, or several.
    """
    return _only(folder, instance, _together)


def _only(folder: Path, instance: str | None, of: Callable[[Any], Told | None]) -> tuple[str, Told]:
    """What the rates of a run tell of `instance`, or of the only one that they tell it of."""
    rates = Run.open(folder).manifest.get("rates") or _reported_rates(folder)
    found = {str(entry["instance"]): told for entry in rates if (told := of(entry)) is not None}
    if instance is None and len(found) > 1:
        raise RunFolderError(f"{folder} holds buckets of {', '.join(sorted(found))}: name one with instance=.")
    name = instance if instance is not None else next(iter(found), None)
    _refuse_counters(folder, name, rates)
    if name is None or name not in found:
        which = f" of '{instance}'" if instance else ""
        raise RunFolderError(f"{folder} holds no estimated bucket{which}: make one with 'probes rate -i NAME'.")
    return name, found[name]


def _refuse_counters(folder: Path, name: str | None, rates: Sequence[Any]) -> None:
    """Raises RunFolderError where the run shows a window counter at `name`, or, where that is None, at any instance."""
    counted = [str(entry["instance"]) for entry in rates if isinstance(entry, dict) and "window" in entry and "instance" in entry]
    if (name is None and counted) or name in counted:
        counter = f"{folder} shows a window counter at '{name or counted[0]}' and no bucket to follow"
        raise RunFolderError(f"{counter}: spread what is left over the time until it resets.")


def contradicted(entry: Any) -> str | None:
    """What `--confirm` met at the rate, or the workers, that a `calls` entry of probes.rate/1 calls safe; None where it met no refusal."""
    confirmed = entry.get("confirmed") if isinstance(entry, dict) else None
    if not isinstance(confirmed, dict) or not confirmed.get("contradicted"):
        return None
    by_workers = confirmed.get("by_workers")
    workers = isinstance(by_workers, dict) and bool(by_workers.get("refused"))
    half: dict[str, Any] = by_workers if isinstance(by_workers, dict) and workers else confirmed.get("at_rate") or confirmed
    refused, calls, rate = half.get("refused"), half.get("calls"), confirmed.get("rate_per_s")
    how = f"by {confirmed.get('workers')} workers" if workers else f"at {rate:.3g}/s" if isinstance(rate, int | float) else "at that rate"
    return f"{refused} of {calls} calls {how} {'was' if refused == 1 else 'were'} refused"


def contradicted_of_run(run: Run, instance: str) -> str | None:
    """The same of any call of an instance; None where no answer of the run was contradicted."""
    entries = run.manifest.get("rates") or []
    mine = (contradicted(one) for one in entries if isinstance(one, dict) and one.get("instance") == instance)
    return next((said for said in mine if said is not None), None)


def warns_of_run(folder: Path, instance: str) -> bool:
    """Warns, on behalf of the caller's caller, of a run that was contradicted; whether it was."""
    said = contradicted_of_run(Run.open(folder), instance)
    if said is not None:
        again = f"Measure again with 'probes rate -i {quoted(instance)}'."
        warnings.warn(f"What {folder} found safe at '{instance}' is not: {said} when it was tried. {again}", stacklevel=3)
    return said is not None


def ceilings_of_run(run: Run, instance: str) -> dict[str, Any]:
    """`max_rate` (calls/s) and `max_in_flight` (calls) of the instance as the run recorded them; what it had none of is left out.

    Where the server slows down before its bucket fills, what the run found safe is such a ceiling.
    """
    instances = run.manifest.get("instances") or []
    told = next((one for one in instances if isinstance(one, dict) and one.get("name") == instance), {})
    slow = [safe for safe in _safe_of(run, instance) if safe.get("bound_by") == "latency"]
    rate = _least([told.get("max_rate"), *(_low(safe.get("rate_per_s")) for safe in slow)])
    in_flight = _least([told.get("max_in_flight"), *(safe.get("in_flight") for safe in slow)])
    ceilings: dict[str, Any] = {} if rate is None else {"max_rate": rate}
    return ceilings if in_flight is None else {**ceilings, "max_in_flight": int(in_flight)}


def _low(estimated: Any) -> Any:
    return estimated.get("low") if isinstance(estimated, dict) else None


def _safe_of(run: Run, instance: str) -> list[dict[str, Any]]:
    entries = run.manifest.get("rates") or []
    mine = [one.get("safe") for one in entries if isinstance(one, dict) and one.get("instance") == instance]
    return [safe for safe in mine if isinstance(safe, dict)]


def _least(values: Iterable[Any]) -> float | None:
    return min((number for value in values if (number := _positive(value)) is not None), default=None)


def _positive(value: Any) -> float | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if number and 0.0 < value < math.inf else None


def _bucket(entry: Any) -> BucketSettings | None:
    """The three constants of one `calls` entry of probes.rate/1; None where one of them is missing or no positive number."""
    try:
        entry["instance"]
        mark, outflow, reservation = (float(entry["bucket"][key]["value"]) for key in ("high_water_mark", "outflow_per_s", "up_front_cost"))
    except (KeyError, TypeError, ValueError):
        return None
    if not (0.0 < reservation < mark < math.inf and 0.0 < outflow < math.inf):
        return None
    return BucketSettings.of(mark, outflow, reservation)


def _together(entry: Any) -> tuple[int, float | None] | None:
    """What an entry without a bucket calls safe; None where it tells nothing."""
    try:
        entry["instance"]
        bare = entry["bucket"] is None and "window" not in entry
        together, rate = (entry["safe"]["in_flight"], entry["safe"]["rate_per_s"]["low"]) if bare else (None, None)
    except (KeyError, TypeError):
        return None
    if together == 0 and (slow := _positive(rate)) is not None:
        return 1, slow
    return (together, None) if isinstance(together, int) and _positive(together) else None


def _reported_rates(folder: Path) -> list[Any]:
    try:
        rates = json.loads((folder / "report.json").read_text(encoding="utf-8-sig")).get("rates", [])
    except (OSError, ValueError, AttributeError):
        return []
    return rates if isinstance(rates, list) else []
