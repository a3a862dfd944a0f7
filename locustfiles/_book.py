"""What the master knows of its workers: who takes part, what each was granted and what it still holds. Pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass, field

SILENT_S = 1.5
"""A worker that was not heard of for so long is given up; it reports every fifth of a second."""
LATE_S = 0.5
"""A lease may reach a worker so much later than it was written: until then it goes by the one before."""


@dataclass(slots=True)
class Member:
    """One worker as the master knows it. `limit` was granted, `held` is what it may still be using, `lines` what it has reported.

    `paced`: how many of the calls that a window of the instance's ceiling holds are its own.
    """

    name: str
    heard_s: float
    limit: int = 0
    paced: int = 0
    held: int = 0
    seq: int = 0
    leased: int = 0
    lines: int = 0
    unsent: int = 0
    flying: int = 0
    returned: int = 0
    credit: float = 0.0
    leaving: bool = False
    final: bool = False
    gone: bool = False

    @property
    def open(self) -> int:
        """Due times that it was given and has not accounted for."""
        return self.leased - self.lines - self.unsent - self.returned


@dataclass(slots=True)
class Book:
    """Who is there, and who had to be given up."""

    members: dict[str, Member] = field(default_factory=dict)
    seq: int = 0
    resting: list[tuple[float, int]] = field(default_factory=list)
    """Calls of the ceiling that a worker gave up, each with the instant until which it may have sent them just now."""

    def live(self) -> list[Member]:
        """The workers that take part, in an order that stays."""
        return [member for _, member in sorted(self.members.items()) if not (member.gone or member.final)]

    @staticmethod
    def turn(able: list[Member]) -> Member:
        """Whose turn it is: the turns follow the limits, spread smoothly."""
        for member in able:
            member.credit += member.paced or member.limit
        chosen = max(able, key=lambda member: member.credit)
        chosen.credit -= sum(member.paced or member.limit for member in able)
        return chosen

    def grant(self, total: int) -> None:
        """Shares `total` out; less takes effect at once, more only from what nobody holds any longer."""
        live = self.live()
        self.seq += 1
        shares = even_shares(total, len(live))
        for member, share in zip(live, shares, strict=True):
            if share < member.limit:
                member.limit, member.seq = share, self.seq
        free = total - sum(max(member.held, member.limit) for member in self.members.values() if not member.gone)
        for member, share in zip(live, shares, strict=True):
            more = max(0, min(share - member.limit, free))
            if more:
                member.limit, member.seq = member.limit + more, self.seq
                free -= more

    def pace(self, calls: int, seconds: float, now: float) -> None:
        """Shares out the ceiling, `calls` in any `seconds`: whole calls, which add up to no more than it however workers come and go."""
        live = self.live()
        wanted = dict(zip((member.name for member in live), even_shares(calls, len(live)), strict=True))
        for member in self.members.values():
            least = 1 if member.open > 0 and member.name in wanted else 0  # what it was given to send must still go
            less = member.paced - max(wanted.get(member.name, 0), least)
            if less > 0:
                member.paced -= less
                self.resting.append((now + seconds + LATE_S, less))
        self.resting = [(until, few) for until, few in self.resting if until > now]
        free = calls - sum(member.paced for member in self.members.values()) - sum(few for _, few in self.resting)
        for member in live:
            more = max(0, min(wanted[member.name] - member.paced, free))
            member.paced += more
            free -= more

    def silence(self, now: float) -> None:
        """Gives up workers that were not heard of; one that speaks again takes part again."""
        for member in self.members.values():
            if not member.final and now - member.heard_s > SILENT_S:
                member.gone, member.limit, member.held = True, 0, 0


def even_shares(total: int, among: int) -> list[int]:
    """`total` in `among` whole parts that differ by one at most; none where there is nobody."""
    return [total // among + (place < total % among) for place in range(among)]
