"""Entries of `probes.rate/1` that tell nothing but why: no call was answered as asked, or what was read is not believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from probes.mixture import LEAST_KNOWN
from probes.observation import Observation, Outcome
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


def with_unanswered(documents: Sequence[dict[str, Any]], seen: Sequence[Observation], shares: Mapping[str, float]) -> list[dict[str, Any]]:
    """`documents`, of which one tells no rate where its call was never answered as asked; nor does their mix, where it holds many of these.

    One call of several may be wrong (404, no permission) while the others tell the bucket. `shares` are those of the job, by name.
    """
    failed = {call: why for call in shares if (why := _failed([o for o in seen if o.call == call])) is not None}
    return [_without(document, failed, shares) if failed else document for document in documents]


def _failed(seen: Sequence[Observation]) -> str | None:
    """Why no answer of a call tells its price; None where one does, or it was refused for a limit or not asked."""
    told = any(o.ok or o.outcome is Outcome.THROTTLED for o in seen)
    return None if told or not seen else _unanswered(seen)


def _without(document: dict[str, Any], failed: Mapping[str, str], shares: Mapping[str, float]) -> dict[str, Any]:
    call = document["call"]
    if any(sign["kind"] == "no_answer" for sign in document["signs"]):
        return document
    if call in failed:
        sign = Sign("no_answer", failed[call])
    elif "mix" in document and sum(shares[name] for name in failed) > 1.0 - LEAST_KNOWN:
        sign = Sign("unanswered_calls", f"No call was answered as asked of {', '.join(failed)}: of a job with it nothing can be told.")
    else:
        return document
    return {**document, "safe": None, "signs": [*document["signs"], sign.document()]}


def _unanswered(seen: Sequence[Observation]) -> str:
    """How the last call ended, by its status and the server's own words where there are any."""
    if not seen:
        return "No call was answered (nothing was sent)."
    last = seen[-1]
    if last.status is None:
        return f"No call was answered ({last.outcome.value})."
    reason = f": {str(last.facts['reason']).rstrip('.')}" if last.facts.get("reason") else ""
    return f"No call was answered as asked: the last of {len(seen)} ended with {last.status} ({last.outcome.value}){reason}."
