"""Budget headers that the dialect of an instance cannot read: another dialect's (which, and whose), or one whose value is no number."""

from __future__ import annotations

from probes.dialects.base import Dialect, Headers
from probes.dialects.fields import plain_number
from probes.observation import Quota

BUDGET = ("x-rate-limit-", "x-ratelimit-", "ratelimit")
"""How the names of budget headers begin."""
COSTED = ("canvas", "brightspace")
"""Those that tell what a call cost."""
OWN_WORDS = ("x-request-context-id", "x-canvas-meta", "x-canvas-user-id")
"""Headers that Canvas alone sends."""
MOST_SHOWN = 40
"""So many characters of a value that cannot be read are told."""


def foreign_budget(own: Dialect, headers: Headers, told: Quota) -> dict[str, str]:
    """`budget_of` (a dialect's name) and `budget_headers` (theirs, by commas); empty where `own` read (`told`) what it should.

    A level that Canvas shows is none of a counter's headers, nor is a counter with a reset a level.
    """
    whose = budget_of(headers)
    misread = (whose == "canvas" and not own.levels) or (whose in ("brightspace", "blackboard") and own.levels)
    if whose is None or whose == own.name or not (told.remaining is None or misread):
        return {}
    names = sorted(name for name in headers if name.startswith(BUDGET) or (name == "x-request-cost" and whose in COSTED))
    return {"budget_of": whose, "budget_headers": ", ".join(names)}


def unread_budget(headers: Headers, told: Quota) -> dict[str, str]:
    """`budget_unread`, the header that should tell what remains with its value, where `told` has none as that is no number; else empty."""
    names = () if told.remaining is not None else (name for name in headers if name.startswith(BUDGET) and name.endswith("remaining"))
    unread = next((name for name in names if plain_number(headers[name]) is None), None)
    if unread is None:
        return {}
    return {"budget_unread": f"{unread.title().replace('Ratelimit', 'RateLimit')}: {headers[unread][:MOST_SHOWN]}"}


def budget_of(headers: Headers) -> str | None:
    """The built-in dialect whose budget headers these are; None where there are none, or more than one dialect's could be so."""
    if "x-rate-limit-remaining" in headers:
        return _hyphenated(headers)
    if "ratelimit-observed" in headers:
        return "gitlab"
    if "ratelimit" in headers or "ratelimit-remaining" in headers:
        return "ietf"
    if "x-ratelimit-remaining" in headers:
        return "github" if "x-ratelimit-used" in headers or "x-github-request-id" in headers else "ietf"
    return None


def _hyphenated(headers: Headers) -> str | None:
    """Of Canvas, Brightspace and Blackboard, which share the names: only a counter has a reset, only one of the two a limit."""
    if any(word in headers for word in OWN_WORDS):
        return "canvas"
    if "x-rate-limit-reset" not in headers:
        return None
    return "blackboard" if "x-rate-limit-limit" in headers else "brightspace"
