"""Entries of `probes.rate/1` that tell nothing but why: no call was answered as asked, or what was read is not believed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from probes.observation import Observation
from probes.signatures import Regime, Sign


def untold_document(call: str, sign: Sign) -> dict[str, Any]:
    """The entry of a call of which nothing is told but this sign.

    The contract has no word for a regime that is not known: `headers` is what is taken until answers say otherwise.
    """
    unknown = dict.fromkeys(("bucket", "cost", "server_time_s", "safe", "confirmed"))
    return {"call": call, "regime": Regime.HEADERS.value, **unknown, "signs": [sign.document()]}


def unanswered_document(call: str, seen: Sequence[Observation]) -> dict[str, Any]:
    """The entry of a call that was never answered as asked, or not at all."""
    return untold_document(call, Sign("no_answer", _unanswered(seen)))


def _unanswered(seen: Sequence[Observation]) -> str:
    """How the last call ended, by its status and the server's own words where there are any."""
    if not seen:
        return "No call was answered (nothing was sent)."
    last = seen[-1]
    if last.status is None:
        return f"No call was answered ({last.outcome.value})."
    reason = f": {str(last.facts['reason']).rstrip('.')}" if last.facts.get("reason") else ""
    return f"No call was answered as asked: the last of {len(seen)} ended with {last.status} ({last.outcome.value}){reason}."
