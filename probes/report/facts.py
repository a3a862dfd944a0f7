"""What the manifest holds, read with care: a run may be half a run, and its manifest may be of another version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from probes.runs import Run

FINDING = ("kind", "severity", "instance", "says")
SEVERITIES = ("error", "warning", "info")


def entries(manifest: Mapping[str, Any], name: str, *needed: str) -> list[dict[str, Any]]:
    """The entries of a list that a job noted; those that lack a needed field, or are none, are left out."""
    value = manifest.get(name)
    if not isinstance(value, list):
        return []
    return [entry for entry in value if isinstance(entry, dict) and all(key in entry for key in needed)]


def findings(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The findings made while measuring, whole."""
    found = entries(manifest, "findings", *FINDING)
    return [
        {**{key: str(one[key]) for key in FINDING}, "evidence": _texts(one.get("evidence")), "advice": str(one.get("advice") or "")}
        for one in found
        if one["severity"] in SEVERITIES
    ]


def loads(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The load documents that a job noted, those whose counts are counts."""
    counts = ("requests", "refused", "errors")
    return [one for one in entries(manifest, "loads", "requests") if all(isinstance(one.get(key, 0), int) for key in counts)]


def rates(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rate entries that a job noted; a `safe` or a `bucket` that cannot be read is none."""
    return [
        {
            **one,
            "safe": one["safe"] if _readable(one.get("safe")) else None,
            "bucket": one["bucket"] if isinstance(one.get("bucket"), dict) else None,
        }
        for one in entries(manifest, "rates", "instance", "call")
    ]


def _readable(safe: Any) -> bool:
    return isinstance(safe, dict) and (safe.get("rate_per_s") is None or number(safe["rate_per_s"]) is not None)


def number(value: Any) -> dict[str, float] | None:
    """An estimated number (contract: value, low, high, n) that is whole; None for anything else."""
    if not isinstance(value, dict) or not all(isinstance(value.get(key), int | float) for key in ("value", "low", "high")):
        return None
    return {"n": 0, **value}


def words(run: Run) -> list[str]:
    """The words of the command that made the run."""
    command = run.manifest.get("command")
    return [str(word) for word in command] if isinstance(command, list) else []


def ended(run: Run) -> str | None:
    """How the run ended; None while it runs and after a kill."""
    value = run.manifest.get("ended")
    return value if isinstance(value, str) else None


def _texts(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list | tuple) else []
