"""The calls of a command: `--call` words and a calls file together."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from probes.calls import Call, parse, parse_lines, template
from probes.config import Instance
from probes.errors import UsageError

MANY = 10
"""More calls than so many that differ in ids only are one kind: priced together, told as one."""
LEAST_SHARE = 0.05
"""Each kind gets at least this share of the turns, so that a rare one has a price as well."""


def calls_of(words: Sequence[str], file: Path | None) -> tuple[Call, ...]:
    """The calls of `words` and of `file`. Raises UsageError for what is no call, and for an unreadable file."""
    calls = [parse(word) for word in words]
    if file is not None:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            raise UsageError(f"{file} cannot be read: {reason}.") from None
        calls += parse_lines(lines, str(file))
    return tuple(calls)


def in_turns(calls: Sequence[Call], turns: int) -> tuple[Call, ...]:
    """`calls` as they are to be made one after another, so that `turns` of them tell the price of every kind.

    Where more than `MANY` differ in ids only, they get one name, with `:id` in it, and the kinds take turns by their weight in the list.
    Reads are drawn from all over the list; writes keep its order. A list without such calls comes back as it is.
    """
    kinds: dict[str, list[Call]] = {}
    for call in calls:
        kinds.setdefault(template(call), []).append(call)
    if all(len({call.name for call in same}) <= MANY for same in kinds.values()):
        return tuple(calls)
    lists = [_one_kind(name, same) for name, same in kinds.items()]
    weights = [sum(call.weight for call in same) for same in lists]
    picked, taken = [], [0] * len(lists)
    for chosen in _by_weight([max(weight / sum(weights), LEAST_SHARE) for weight in weights], turns):
        picked.append(lists[chosen][taken[chosen] % len(lists[chosen])])
        taken[chosen] += 1
    return tuple(picked)


def _one_kind(name: str, same: list[Call]) -> list[Call]:
    if len({call.name for call in same}) <= MANY:
        return same
    alike = [replace(call, alike=name) for call in same]
    if not alike[0].writes:
        random.Random(1).shuffle(alike)
    return alike


def _by_weight(weights: Sequence[float], turns: int) -> list[int]:
    """Indices, each as often as its weight says and as evenly as can be (smooth weighted round robin)."""
    credit, chosen = [0.0] * len(weights), []
    for _ in range(turns):
        credit = [have + weight for have, weight in zip(credit, weights, strict=True)]
        best = max(range(len(weights)), key=credit.__getitem__)
        credit[best] -= sum(weights)
        chosen.append(best)
    return chosen


def one_instance(instances: Sequence[Instance], command: str) -> Instance:
    """The only one. Raises UsageError when there are several or none."""
    if len(instances) != 1:
        raise UsageError(f"'probes {command}' asks one instance, not {len(instances)}: say -i NAME once.")
    return instances[0]
