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
