"""The numbers that all experts look at, worked out once from the observations of one instance."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from probes.diagnosis.base import Job, Surroundings
from probes.observation import Observation, Outcome
from probes.stats import median

NAME_S, LEAST_TRIP_S = 0.1, 0.0005
"""From when on the time that a name takes is taken off that of a connection, and what is left of it at least, s."""

_OWN = re.compile(r"Errno (?:1|13|23|24|49|55|99|105)\b|WinError (?:10013|10024|10048|10055)\b")
"""How Linux, macOS and Windows say that a connection failed before it left."""


@dataclass(frozen=True)
class Symptoms:
    """Observations of one instance, marked by facts: `phase` (health, self, alone, again, group, patient), `together` (calls at once).

    What was asked `again` shows the bucket only: it is no call of the job.
    """

    seen: tuple[Observation, ...]
    job: Job
    around: Surroundings

    @classmethod
    def of(cls, observations: Sequence[Observation], job: Job, around: Surroundings) -> Symptoms:
        """The symptoms, requests that we cancelled ourselves left out."""
        return cls(tuple(o for o in observations if o.outcome is not Outcome.CANCELLED), job, around)

    @cached_property
    def instance(self) -> str:
        """The instance's name."""
        return self.seen[0].instance if self.seen else ""

    @cached_property
    def answered(self) -> list[Observation]:
        """Everything that brought a whole answer in time, refusals included; the health page too. Our own patience is no answer."""
        return [o for o in self.seen if o.flight_s is not None and o.outcome is not Outcome.READ_TIMEOUT]

    @cached_property
    def alone(self) -> list[Observation]:
        """Answers to calls made one at a time with the token."""
        return [o for o in self.answered if o.facts.get("phase") in ("self", "alone")]

    @cached_property
    def mute(self) -> list[Observation]:
        """Connections that came about, and whose TLS handshake was not ended in time, or was broken off without a word."""
        late = self.having(Outcome.CONNECT_TIMEOUT, Outcome.CONNECT_ERROR) if self.around.proxy is None else []
        return [o for o in late if o.connect_s is not None and o.tls_s is None]

    @cached_property
    def of_job(self) -> list[Observation]:
        """The job's own calls."""
        return [o for o in self.seen if o.call in self.job.calls]

    @cached_property
    def levels(self) -> list[Observation]:
        """Answers that tell the bucket's level while no other call of ours was in flight."""
        again = [o for o in self.answered if o.facts.get("phase") == "again"]
        told = [o for o in (*self.alone, *again) if o.remaining is not None and o.outcome is not Outcome.THROTTLED]
        return sorted(told, key=lambda o: o.received_s or 0.0)

    @cached_property
    def working(self) -> set[str]:
        """Names of the calls that were answered as asked at least once."""
        return {o.call for o in self.seen if o.ok}

    @cached_property
    def good(self) -> list[Observation]:
        """Calls that were answered as asked; the health page is none."""
        return [o for o in self.seen if o.ok and o.facts.get("phase") != "health"]

    @cached_property
    def of_calls(self) -> tuple[Observation, ...]:
        """All that was seen but the health page where calls were answered: what becomes of that page alone stops no job."""
        return tuple(o for o in self.seen if o.facts.get("phase") != "health") if self.good else self.seen

    @cached_property
    def identified(self) -> bool:
        """Whether an answer carried a request id, so that those which carry none were made before the application."""
        return any(o.request_id for o in self.seen)

    @cached_property
    def failed(self) -> Counter[Outcome]:
        """How many requests of the job's own calls were not answered as asked, by how they ended, the most frequent first."""
        return Counter(dict(Counter(o.outcome for o in self.of_job if not o.ok).most_common()))

    def count(self, *outcomes: Outcome) -> int:
        """How many requests ended so."""
        return sum(self.outcomes[outcome] for outcome in outcomes)

    def having(self, *outcomes: Outcome) -> list[Observation]:
        """The requests that ended so."""
        return [o for o in self.seen if o.outcome in outcomes]

    @cached_property
    def outcomes(self) -> Counter[Outcome]:
        """How many requests ended in which way."""
        return Counter(o.outcome for o in self.seen)

    @cached_property
    def connects_s(self) -> list[float]:
        """Times of TCP handshakes, without finding the name: about one round trip each, where they can be seen."""
        name_s = median(self.around.dns_s) if self.around.dns_s else 0.0
        connects = [o.connect_s for o in self.seen if o.reused is False and o.connect_s]
        return connects if name_s < NAME_S else [max(LEAST_TRIP_S, taken - name_s) for taken in connects]

    @cached_property
    def round_trip_s(self) -> float | None:
        """One round trip by the TCP handshakes; behind a proxy they tell the way to the proxy only, so None. None where none was seen."""
        return median(self.connects_s) if self.connects_s and self.around.proxy is None else None

    @cached_property
    def quickest_s(self) -> float:
        """The shortest time from a request to its answer: one round trip is within it."""
        return min((o.flight_s for o in self.answered if o.flight_s is not None), default=math.inf)

    @cached_property
    def unexplained_s(self) -> list[float]:
        """Of answers to calls made one at a time: time that neither the server's work, nor its queue, nor the body's transfer explains."""
        return [left for o in self.alone if (left := unexplained_s(o)) is not None]

    @cached_property
    def overlapped(self) -> list[tuple[int, Observation]]:
        """(calls at once, answer) for calls made with the token, alone or together, that were answered as asked."""
        phases = ("self", "alone", "group")
        return [
            (int(o.facts.get("together", 1)), o)
            for o in self.answered
            if o.facts.get("phase") in phases and o.outcome is not Outcome.THROTTLED
        ]

    def work_s(self, o: Observation) -> float:
        """How long the server worked on it: its own account, else the flight without one round trip and without the body's way."""
        if o.server_time_s is not None:
            return o.server_time_s
        return max(0.0, (o.flight_s or 0.0) - (o.queue_s or 0.0) - (o.receive_s or 0.0) - (self.round_trip_s or 0.0))


def unexplained_s(o: Observation) -> float | None:
    """Seconds of one flight that the server's account leaves open; None where it gives none."""
    if o.server_time_s is None or o.flight_s is None:
        return None
    return max(0.0, o.flight_s - o.server_time_s - (o.queue_s or 0.0) - (o.receive_s or 0.0))


def of_own_system(o: Observation) -> bool:
    """Whether a connection failed at this machine's own system: no file, no port, no memory for it, or not allowed."""
    return o.outcome is Outcome.CONNECT_ERROR and _OWN.search(o.error or "") is not None
