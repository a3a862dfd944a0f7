"""Why asking stopped before its budget was spent, by what the last answers were."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from probes.observation import Observation, Outcome
from probes.search.probing import FAILURES
from probes.signatures import Sign
from probes.wording import plural, seconds, times

BARE_IN_A_ROW = 20
"""Answers in a row without a budget header, after which a level that was shown is no longer followed."""
SPENT = 0.9
"""A budget of which so much was used is spent."""
IN_VAIN = 3
"""Failures in a row that end it at the soonest."""


def ended_early(seen: Sequence[Observation], budget: int) -> Sign | None:
    """A sign that says why no more than `seen` was asked of `budget` calls; None where it was spent, or all was known."""
    if not seen or len(seen) >= budget:
        return None
    told = _credentials(seen) or _maintenance(seen) or _failures(seen) or _headers(seen) or _refusals(seen)
    if told is None:
        return None
    kind, why = told
    return Sign(kind, f"Asking stopped after {len(seen):,} of {plural(budget, 'call')}: {why}.")


def out_of_time(seen: Sequence[Observation], budget: int, longest_s: float) -> Sign | None:
    """A sign that asking ended `longest_s` after it began, and for how long it had to go on; None where the budget was about spent."""
    if not 0 < len(seen) < SPENT * budget:
        return None
    made = f"Asking ended after {seconds(longest_s)}, with {len(seen):,} of {plural(budget, 'call')} made"
    return Sign("time_spent", f"{made}: --for {math.ceil(longest_s / 60.0 * budget / len(seen))}m tells it more closely.")


def headers_stopped(seen: Sequence[Observation]) -> bool:
    """Whether a level was shown, and none of the last answers shows one."""
    return any(o.remaining is not None for o in seen) and not any(o.remaining is not None for o in seen[-BARE_IN_A_ROW:])


def maintained(seen: Sequence[Observation]) -> bool:
    """Whether a call met maintenance and none that was sent since was answered; those on their way then may be answered after it."""
    last = max((n for n, o in enumerate(seen) if o.outcome is Outcome.MAINTENANCE), default=None)
    return last is not None and not any(o.ok and (o.sent_s or 0.0) > (seen[last].received_s or 0.0) for o in seen[last:])


def _credentials(seen: Sequence[Observation]) -> tuple[str, str] | None:
    """By the order of sending: a refusal is answered sooner than the calls before it."""
    sent = sorted(seen, key=lambda o: o.due_s if o.sent_s is None else o.sent_s)
    refused = next((n for n, o in enumerate(reversed(sent)) if o.outcome is not Outcome.UNAUTHORIZED), len(sent))
    if refused < IN_VAIN:
        return None
    return "credentials_ended", f"from the {_ordinal(len(sent) - refused + 1)} on the credentials were refused (401)"


def _maintenance(seen: Sequence[Observation]) -> tuple[str, str] | None:
    if not maintained(seen):
        return None
    down = sum(o.outcome is Outcome.MAINTENANCE for o in seen)
    return "maintenance", f"{down} of them {'was' if down == 1 else 'were'} answered 503, maintenance or a refresh"


def _failures(seen: Sequence[Observation]) -> tuple[str, str] | None:
    """Failures in a row among the last answers; calls that were on their way then may have been answered after them."""
    rows = [len(list(row)) for failed, row in groupby(seen[-BARE_IN_A_ROW:], key=_failed) if failed]
    if max(rows, default=0) < IN_VAIN:
        return None
    kinds = Counter(str(o.outcome.value if o.status is None or o.status < 300 else o.status) for o in seen if _failed(o))
    said = ", ".join(f"{kind} {times(count)}" for kind, count in kinds.most_common(3))
    return "failing", f"{max(rows)} in a row failed, {kinds.total()} in all ({said})"


def _failed(o: Observation) -> bool:
    return not o.ok and o.outcome is not Outcome.THROTTLED


def _headers(seen: Sequence[Observation]) -> tuple[str, str] | None:
    if not headers_stopped(seen):
        return None
    return "headers_ended", f"none of the last {BARE_IN_A_ROW} answers carried a budget header, as others before them had"


def _refusals(seen: Sequence[Observation]) -> tuple[str, str] | None:
    """Where a level is shown; without one refusals are what is asked for."""
    refused = sum(o.outcome is Outcome.THROTTLED for o in seen)
    if not any(o.outcome is Outcome.THROTTLED for o in seen[-FAILURES:]) or all(o.remaining is None for o in seen):
        return None
    return "refusals_ended", f"{refused} of them {'was' if refused == 1 else 'were'} refused for the rate limit"


def _ordinal(number: int) -> str:
    teens = 10 < number % 100 < 14
    return f"{number:,}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"
