"""What sentences for people are made of: rates, times, counts, shares as they read them; and the word that somebody meant."""

from __future__ import annotations

import difflib
import math
import shlex
from collections.abc import Iterable


def heard(word: str) -> str:
    """`word` of a command line as UTF-8 where a locale of plain ASCII left its bytes undecoded, else as it is."""
    try:
        return word.encode("ascii", "surrogateescape").decode("utf-8")
    except UnicodeError:
        return word


def rounded_down(value: float) -> str:
    """A recommended rate, never rounded up: three digits, all digits before the point."""
    if value >= 100.0:
        return f"{math.floor(value):,}"
    if value <= 0.0:
        return "0"
    scale = 10 ** (2 - math.floor(math.log10(value)))
    return f"{math.floor(round(value * scale, 6)) / scale:g}"


def seconds(value: float) -> str:
    """A time for people: 12 ms, 0.34 s, 3.1 s, 2 min, 1.5 h."""
    if value < 0.0995:
        return f"{value * 1000:.0f} ms"
    if value < 9.95:
        return f"{value:.2f} s" if value < 0.995 else f"{value:.1f} s"
    return f"{value:.0f} s" if value < 120 else f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def times(count: int) -> str:
    """`once`, `3 times`."""
    return "once" if count == 1 else f"{count:,} times"


def plural(count: int, word: str, many: str | None = None) -> str:
    """`1 call`, `3 calls`."""
    return f"{count:,} {word if count == 1 else many or word + 's'}"


def percent(share: float, digits: int = 0) -> str:
    """A share for a person: 0.05 is `5 %`."""
    return f"{100.0 * share:.{digits}f} %"


def meant(word: str, known: Iterable[str]) -> str:
    """The end of a sentence that `word` is none of `known`: `did you mean reach?`, or all that are known, in their order."""
    names = list(known)
    near = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(names)}."


def quoted(text: str) -> str:
    """A name or a path as it is written in a command that people copy: quoted where the shell would take it apart."""
    return shlex.quote(text)
