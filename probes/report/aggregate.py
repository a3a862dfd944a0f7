"""One pass over `observations.jsonl` into columns: a million observations in about 200 MB, whatever reads them afterwards.

Lines are numbered from 1, so that a number can be traced to the observations it was made from. Lines that are no observations are counted
and left out, as `Run.observations` does.
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from probes.errors import RunFolderError
from probes.observation import Observation, Outcome
from probes.runs import OBSERVATIONS, Run

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]
    Numbers = NDArray[np.float64]

NUMBERS = (
    "due_s",
    "sent_s",
    "received_s",
    "remaining",
    "cost",
    "server_time_s",
    "pool_s",
    "connect_s",
    "tls_s",
    "send_s",
    "wait_s",
    "receive_s",
)
COUNTS = ("line", "instance", "scenario", "call", "outcome", "status", "cold", "reused")
NEEDED = ("method", "path", "due_s", "sent_s", "received_s", "status")
UNKNOWN = -1
MOST_KEPT = 100_000
"""Observations that are kept whole, for estimates and findings; a run has more only under load, and a load has its own document."""
MOST_CALLS = 5_000
"""Names of calls that are told apart; the rest is one group, so that a million different paths do not fill the report."""
OTHER_CALLS = "(other calls)"
LOADS = frozenset({"load", "confirm"})


@dataclass(slots=True)
class Names:
    """Words numbered in order of their first appearance."""

    most: int | None = None
    words: list[str] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)

    def number(self, word: str) -> int:
        """The number of `word`; past the most, all share one."""
        found = self.numbers.get(word)
        if found is None:
            if self.most is not None and len(self.words) >= self.most and word != OTHER_CALLS:
                return self.number(OTHER_CALLS)
            found = self.numbers[word] = len(self.words)
            self.words.append(word)
        return found


OUTCOMES = [outcome.value for outcome in Outcome]
_OUTCOME = {word: number for number, word in enumerate(OUTCOMES)}


class Aggregate:
    """The columns of a run: `number("due_s")` is float64, NaN where not seen; `count("line")` is int32, -1 where not seen.

    `kept`: (line, Observation) of at most `MOST_KEPT`, those under load only while there is room; `left_out`: by scenario, how many are not
    among them. `broken`: numbers of lines that hold no observation; `cut`: whether the last line has no end.
    """

    def __init__(self, run: Run) -> None:
        self.instances, self.scenarios, self.calls = Names(), Names(), Names(MOST_CALLS)
        self.kept: list[tuple[int, Observation]] = []
        self.left_out: dict[str, int] = {}
        self.broken: list[int] = []
        self.cut = False
        self._numbers, self._counts = array("d"), array("i")
        self._read(run)
        numbers = np.frombuffer(self._numbers, dtype=np.float64) if self._numbers else np.empty(0)
        counts = np.frombuffer(self._counts, dtype=np.int32) if self._counts else np.empty(0, dtype=np.int32)
        self._number_table = numbers.reshape(-1, len(NUMBERS))
        self._count_table = counts.reshape(-1, len(COUNTS))

    def __len__(self) -> int:
        return len(self._count_table)

    def number(self, name: str) -> Numbers:
        """A column of `NUMBERS`."""
        return self._number_table[:, NUMBERS.index(name)]

    def count(self, name: str) -> NDArray[np.int32]:
        """A column of `COUNTS`."""
        return self._count_table[:, COUNTS.index(name)]

    @property
    def latency_s(self) -> Numbers:
        """From when a request was due to its last byte; NaN where no answer came."""
        found = self.number("received_s") - self.number("due_s")
        return np.where(self.count("status") == UNKNOWN, np.nan, found)

    @property
    def ok(self) -> Mask:
        """Which were answered as asked."""
        found: Mask = self.count("outcome") == _OUTCOME["ok"]
        return found

    @property
    def throttled(self) -> Mask:
        """Which were refused for the rate limit."""
        found: Mask = self.count("outcome") == _OUTCOME["throttled"]
        return found

    def of(self, instance: str | None = None, scenario: str | None = None, call: str | None = None) -> Mask:
        """Which belong there; a name that was not seen matches nothing."""
        mask = np.ones(len(self), dtype=bool)
        for name, wanted, words in (
            ("instance", instance, self.instances),
            ("scenario", scenario, self.scenarios),
            ("call", call, self.calls),
        ):
            if wanted is not None:
                mask &= self.count(name) == words.numbers.get(wanted, UNKNOWN - 1)
        return mask

    def groups(self) -> Iterator[tuple[str, str, str, NDArray[np.intp]]]:
        """(instance, scenario, call, indices of its observations in order), in order of first appearance."""
        if not len(self):
            return
        calls, scenarios = len(self.calls.words), len(self.scenarios.words)
        key = (self.count("instance").astype(np.int64) * scenarios + self.count("scenario")) * calls + self.count("call")
        order = np.argsort(key, kind="stable")
        parts = np.split(order, np.flatnonzero(np.diff(key[order])) + 1)
        for part in sorted(parts, key=lambda part: int(part[0])):
            first = part[0]
            yield (
                self.instances.words[self.count("instance")[first]],
                self.scenarios.words[self.count("scenario")[first]],
                self.calls.words[self.count("call")[first]],
                part,
            )

    def outcomes(self, mask: Mask) -> dict[str, int]:
        """How the requests of `mask` ended, the most frequent first."""
        counts = np.bincount(self.count("outcome")[mask], minlength=len(OUTCOMES))
        return {OUTCOMES[number]: int(counts[number]) for number in np.argsort(-counts, kind="stable") if counts[number]}

    def span(self, indices: NDArray[np.intp]) -> list[int] | None:
        """The first and the last line of those observations."""
        return [int(self.count("line")[indices[0]]), int(self.count("line")[indices[-1]])] if len(indices) else None

    def _read(self, run: Run) -> None:
        path, under_load = run.folder / OBSERVATIONS, 0
        try:
            with path.open("rb") as file:
                for number, line in enumerate(file, 1):
                    if not line.endswith(b"\n"):
                        self.cut = True
                        break
                    try:
                        record = _record(line)
                        self._add(number, record)
                        under_load += self._keep(number, record, under_load)
                    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
                        self.broken.append(number)
        except OSError as error:
            raise RunFolderError(f"{path} cannot be read: {error.strerror}.") from None

    def _add(self, line: int, record: dict[str, Any]) -> None:
        """One row, whole or not at all. Raises what a record that is no observation raises."""
        get = record.get
        for name in NEEDED:
            record[name]
        numbers = [math.nan if (value := get(name)) is None else float(value) for name in NUMBERS]
        status, reused = get("status"), get("reused")
        counts = [
            line,
            self.instances.number(_word(record["instance"])),
            self.scenarios.number(_word(record["scenario"])),
            self.calls.number(_word(record["call"])),
            _OUTCOME[record["outcome"]],
            UNKNOWN if status is None else int(status),
            _truth((get("facts") or {}).get("cold")),
            _truth(reused),
        ]
        self._numbers.extend(numbers)
        self._counts.extend(counts)

    def _keep(self, line: int, record: dict[str, Any], under_load: int) -> int:
        """Keeps the observation whole where there is room; 1 when it was one under load, else 0."""
        is_load = record["scenario"] in LOADS
        room = under_load < MOST_KEPT // 5 if is_load else len(self.kept) - under_load < MOST_KEPT
        if room:
            self.kept.append((line, Observation.from_record(record)))
            return int(is_load)
        self.left_out[record["scenario"]] = self.left_out.get(record["scenario"], 0) + 1
        return 0


def _record(line: bytes) -> Any:
    """A parsed line. What only the standard library takes, half an emoji, becomes a question mark. Raises ValueError."""
    import orjson

    try:
        return orjson.loads(line)
    except ValueError:
        return orjson.loads(json.dumps(json.loads(line), ensure_ascii=False).encode("utf-8", "replace"))


def _word(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _truth(value: Any) -> int:
    return UNKNOWN if value is None else int(bool(value))
