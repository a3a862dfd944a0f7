"""What the lists of SIS imports tell, gathered over several answers: past waits and runs, how imports ended, who stands in the queue."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from probes.instants import seconds_of
from probes.scenarios.asking import items_of, reason_of, record_of, records_of, scalar, server_clock_s
from probes.words import IMPORT_AT_WORK, IMPORT_ENDED, IMPORT_UNWELL, IMPORT_WAITING

if TYPE_CHECKING:
    from probes.client import Answer

MOST_UNWELL = 8

Import = Mapping[str, Any]


@dataclass(slots=True)
class Look:
    """One look at the imports of an account. Its methods are notes of answers, each of all that was seen until then.

    `mine` is the id of the import that is asked about; `more` whether the list goes on and what was read of it shows none that was done.
    """

    mine: str | None = None
    imports: dict[str, Import] = field(default_factory=dict)
    more: bool = False

    def page(self, answer: Answer) -> dict[str, Any]:
        """The note of a page of the list, newest first."""
        found = self._taken(answer)
        if answer.observation.ok:
            self.more = "next" in answer.links and not any(was_done(one) for one in found)
        return self._noted(answer)

    def at_work(self, answer: Answer) -> dict[str, Any]:
        """The note of the list of those at work: they may stand on a page that was not read."""
        self._taken(answer)
        return self._noted(answer)

    def single(self, answer: Answer) -> dict[str, Any]:
        """The note of the import asked about, which no list had."""
        if not answer.observation.ok:
            return {"mine": self.mine, **reason_of(answer)}
        return {"mine": self.mine, "import": _told(record_of(answer.json()), _clock_s(answer, ()))}

    def _taken(self, answer: Answer) -> list[Import]:
        found = records_of(answer.json()) if answer.observation.ok else []
        self.imports.update({str(one.get("id", f"line {len(self.imports) + n}")): one for n, one in enumerate(found)})
        return found

    def _noted(self, answer: Answer) -> dict[str, Any]:
        if not answer.observation.ok:
            return reason_of(answer)
        if items_of(answer.json()) is None:
            return {"reason": "what came is no list of imports"}
        imports = list(self.imports.values())
        now_s = _clock_s(answer, imports)
        mine = self.imports.get(self.mine or "")
        return {
            **facts_of(imports, now_s),
            "more": self.more,
            **({} if mine is None else {"mine": self.mine, "import": _told(mine, now_s)}),
        }


def facts_of(imports: Sequence[Import], now_s: float) -> dict[str, Any]:
    """Waits and runs of past imports (seconds, newest first), how often each ending, seconds since the last end, those that ended badly.

    `alone_s` are the waits of those that found nothing before them.
    The queue now: `[id, state, age_s, progress]`, the `running` ones first, then as they were created.
    """
    queue = sorted(
        (one for one in imports if not has_ended(one)), key=lambda one: (not is_at_work(one), seconds_of(one.get("created_at")) or 0.0)
    )
    ended = [one for one in imports if has_ended(one)]
    ends = [end_s for one in ended if (end_s := seconds_of(one.get("ended_at"))) is not None]
    running = sum(map(is_at_work, queue))
    return {
        "imports": len(imports),
        "waits_s": _gaps(imports, "created_at", "started_at"),
        "alone_s": _gaps(_alone(imports), "created_at", "started_at"),
        "runs_s": _gaps(ended, "started_at", "ended_at"),
        "waiting": len(queue) - running,
        "running": running,
        "queue": [_standing(one, now_s) for one in queue],
        "ended": dict(Counter(str(one.get("workflow_state")) for one in ended)),
        "unwell": [[scalar(one.get("id")), one["workflow_state"]] for one in ended if one.get("workflow_state") in IMPORT_UNWELL][
            :MOST_UNWELL
        ],
        "last_ended": scalar(ended[0].get("id")) if ended else None,
        "idle_s": round(max(0.0, now_s - max(ends)), 1) if ends else None,
    }


def _alone(imports: Sequence[Import]) -> list[Import]:
    """Those before which no import stood when they were created; of the oldest that was read that is not known."""
    dated = [(created_s, one) for one in imports if (created_s := seconds_of(one.get("created_at"))) is not None]
    dated.sort(key=lambda each: each[0])
    alone, over_s = [], 0.0
    for index, (created_s, one) in enumerate(dated):
        if index and over_s <= created_s:
            alone.append(one)
        end_s = seconds_of(one.get("ended_at"))
        over_s = max(over_s, math.inf if end_s is None and not has_ended(one) else end_s or 0.0)
    return alone


def has_ended(one: Import) -> bool:
    """Whether an import is over; one in a state that is not known is judged by its times: ended, begun, or else waiting."""
    state = one.get("workflow_state")
    return state in IMPORT_ENDED or (state not in IMPORT_AT_WORK | IMPORT_WAITING and one.get("ended_at") is not None)


def is_at_work(one: Import) -> bool:
    """Whether an import is being worked on."""
    state = one.get("workflow_state")
    return state in IMPORT_AT_WORK or (state not in IMPORT_WAITING and one.get("started_at") is not None and not has_ended(one))


def was_done(one: Import) -> bool:
    """Whether an import was begun and is over: as they are taken in order of creation, no older one waits."""
    return has_ended(one) and one.get("started_at") is not None


def _told(one: Import, now_s: float) -> dict[str, Any]:
    """One import: where it stands, or how long it waited and ran."""
    waits, runs = _gaps([one], "created_at", "started_at"), _gaps([one], "started_at", "ended_at")
    return {
        "standing": _standing(one, now_s),
        "ended": has_ended(one),
        "wait_s": waits[0] if waits else None,
        "run_s": runs[0] if runs else None,
    }


def _standing(one: Import, now_s: float) -> list[Any]:
    # a restore begins long after the start of the import, and has no time of its own but the last change
    key = "updated_at" if one.get("workflow_state") == "restoring" else "started_at" if is_at_work(one) else "created_at"
    since = seconds_of(one.get(key)) or seconds_of(one.get("created_at"))
    age_s = None if since is None else round(max(0.0, now_s - since), 1)
    return [scalar(one.get("id")), scalar(one.get("workflow_state")), age_s, scalar(one.get("progress"))]


def _gaps(imports: Sequence[Import], start: str, end: str) -> list[float]:
    pairs = [(seconds_of(one.get(start)), seconds_of(one.get(end))) for one in imports]
    return [round(last - first, 3) for first, last in pairs if first is not None and last is not None and last >= first]


def _clock_s(answer: Answer, imports: Sequence[Import]) -> float:
    """The server's clock; where it sends no Date the latest time that the imports themselves tell."""
    times = [seconds_of(one.get(key)) for one in imports for key in ("updated_at", "started_at", "ended_at", "created_at")]
    return server_clock_s(answer) or max((time_s for time_s in times if time_s is not None), default=None) or time.time()
