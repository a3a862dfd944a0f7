"""Reading header fields defensively: a value that is not certainly a number is None, never a wrong number."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from probes.instants import instant

GREATEST = 1e9
"""Numbers beyond this are garbage, not budgets."""
LONGEST_S = 31 * 86400.0
"""A wait beyond this is garbage: no server asks for more than a month."""

_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)


def number(headers: Mapping[str, str], name: str, least: float = -math.inf, greatest: float = GREATEST) -> float | None:
    """The number in field `name`; None where there is none, where it is not plainly one, or where it is not within least..greatest.

    A repeated field counts when it says the same twice.
    """
    text = headers.get(name)
    return None if text is None else plain_number(text, least, greatest)


def plain_number(text: str, least: float = -math.inf, greatest: float = GREATEST) -> float | None:
    """The number that `text` is, alone or the same repeated ('5, 5'); None when it is anything else."""
    parts = {part.strip() for part in text.split(",")}
    if len(parts) != 1:
        return None
    part = parts.pop()
    if len(part) > 40 or not _NUMBER.fullmatch(part):
        return None
    value = float(part)
    return value if math.isfinite(value) and least <= value <= greatest and value >= -GREATEST else None


def seconds(headers: Mapping[str, str], name: str) -> float | None:
    """A duration in seconds, 0 or more."""
    return number(headers, name, least=0.0, greatest=LONGEST_S)


def retry_after_s(headers: Mapping[str, str], here: datetime | None = None) -> float | None:
    """Retry-After in seconds: a number of them, or a date (RFC 9110, 10.2.3) against the answer's own Date, without one against `here`."""
    text = headers.get("retry-after")
    if text is None:
        return None
    delta = plain_number(text, 0.0, LONGEST_S)
    return delta if delta is not None else _until(moment(text), headers, here)


def delta_reset_s(headers: Mapping[str, str], name: str) -> float | None:
    """A reset that is documented as seconds from now."""
    return seconds(headers, name)


def epoch_reset_s(headers: Mapping[str, str], name: str) -> float | None:
    """A reset that is documented as seconds since 1970, told as seconds from the answer's own Date; also in milliseconds."""
    stamp = number(headers, name, least=0.0, greatest=1e13)
    return None if stamp is None or stamp < 1e9 else _until(_of_epoch(stamp), headers)


def detected_reset_s(headers: Mapping[str, str], name: str, window_s: float = 86400.0) -> float | None:
    """A reset whose form is not known: seconds or milliseconds from now, seconds or milliseconds since 1970, or a date.

    `window_s` is the length of the server's window: a delta beyond it can only be milliseconds.
    """
    stamp = number(headers, name, least=0.0, greatest=1e13)
    if stamp is None:
        return _until(moment(headers.get(name, "")), headers)
    if stamp >= 1e9:
        return _until(_of_epoch(stamp), headers)
    if stamp <= window_s:
        return stamp
    return stamp / 1000.0 if stamp / 1000.0 <= window_s else None


def moment(text: str) -> datetime | None:
    """The instant that `text` names (HTTP date or ISO 8601), None when it names none. Without a zone it is UTC."""
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            value = read(text.strip())
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value
    return None


def _of_epoch(stamp: float) -> datetime:
    return instant(stamp / 1000.0 if stamp >= 1e11 else stamp)


def _until(then: datetime | None, headers: Mapping[str, str], here: datetime | None = None) -> float | None:
    """Seconds from the answer's Date, else from `here`, to `then`; a moment just gone is 0, one far away is garbage."""
    now = moment(headers.get("date", "")) or here
    if then is None or now is None:
        return None
    try:
        gap = (then - now).total_seconds()
    except OverflowError:
        return None
    return max(0.0, gap) if -3600.0 <= gap <= LONGEST_S else None
