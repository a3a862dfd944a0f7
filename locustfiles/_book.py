"""What the master knows of its workers: who takes part, what each was granted and what it still holds. Pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass, field

SILENT_S = 1.5
"""A worker that was not heard of for so long is given up; it reports every fifth of a second."""


@dataclass(slots=True)
class Member:
    """One worker as the master knows it. `limit` was granted, `held` is what it may still be using, `lines` what it has reported."""

    name: str
    heard_s: float
    limit: int = 0
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

    def live(self) -> list[Member]:
        """The workers that take part, in an order that stays."""
        return [member for _, member in sorted(self.members.items()) if not (member.gone or member.final)]

    @staticmethod
    def turn(able: list[Member]) -> Member:
        """Whose turn it is: the turns follow the limits, spread smoothly."""
        for member in able:
            member.credit += member.limit
        chosen = max(able, key=lambda member: member.credit)
        chosen.credit -= sum(member.limit for member in able)
        return chosen

    def grant(self, total: int) -> None:
        """Shares `total` out; less takes effect at once, more only from what nobody holds any longer."""
        live = self.live()
        self.seq += 1
        shares = [total // len(live) + (place < total % len(live)) for place in range(len(live))] if live else []
        for member, share in zip(live, shares, strict=True):
            if share < member.limit:
                member.limit, member.seq = share, self.seq
        free = total - sum(max(member.held, member.limit) for member in self.members.values() if not member.gone)
        for member, share in zip(live, shares, strict=True):
            more = max(0, min(share - member.limit, free))
            if more:
                member.limit, member.seq = member.limit + more, self.seq
                free -= more

    def silence(self, now: float) -> None:
        """Gives up workers that were not heard of; one that speaks again takes part again."""
        for member in self.members.values():
            if not member.final and now - member.heard_s > SILENT_S:
                member.gone, member.limit, member.held = True, 0, 0
