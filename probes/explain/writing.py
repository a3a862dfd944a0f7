"""How a request was written down: shells that cut it, texts around it, variables that stand for its host."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote

from probes.explain.request import Request
from probes.explain.rules import Remark, Weight

_ESCAPED = re.compile(r"%5[bd]", re.IGNORECASE)


def unquoted(request: Request) -> Iterator[Remark]:
    """A curl line whose URL holds & outside quotes."""
    if request.unquoted:
        yield Remark(
            "unquoted",
            Weight.WRONG,
            "The URL stands outside quotes: a shell ends the command at its first &, and what stands behind it is never sent.",
            "Put the URL in quotes.",
        )


def escaped_twice(request: Request) -> Iterator[Remark]:
    """Names of parameters that were percent-encoded a second time."""
    twice = [key for key, _ in request.pairs if _ESCAPED.search(key)]
    if twice:
        request.pairs = [(unquote(key) if key in twice else key, value) for key, value in request.pairs]
        says = f"{twice[0]} was percent-encoded twice (%25 stands for %): Canvas knows no such parameter and ignores it."
        yield Remark("escaped_twice", Weight.WRONG, says, f"Write {unquote(twice[0])}, or encode it once.")


def blanks(request: Request) -> Iterator[Remark]:
    """Blanks in the path."""
    if " " in request.path:
        request.path = request.path.replace(" ", "%20")
        yield Remark("blank", Weight.WRONG, "There is a blank in the path: a URL ends there.", "Write %20 for it.")


def variable_host(request: Request) -> Iterator[Remark]:
    """A variable in the host's place."""
    if request.host_untold:
        yield Remark("variable_host", Weight.INFO, "A variable stands for the host: the path and the query are explained.")


def within(request: Request) -> Iterator[Remark]:
    """A URL out of a longer text."""
    if request.within:
        read = "parameters beside it were read as far as could be, and enrollment[...] of a body; header fields were not"
        says = f"This URL was taken out of a longer text: {read}."
        yield Remark("within_text", Weight.INFO, says)
