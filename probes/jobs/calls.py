"""The calls of a command: `--call` words and a calls file together."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from probes.calls import Call, parse, parse_lines, template
from probes.config import Instance
from probes.errors import UsageError
from probes.system import text_of

MANY = 10
"""More calls than so many that differ in ids only are one kind: priced together, told as one."""
LEAST_SHARE = 0.05
"""Each kind gets at least this share of the turns, so that a rare one has a price as well."""


def calls_of(words: Sequence[str], file: Path | None) -> tuple[Call, ...]:
    """The calls of `words` and of `file`. Raises UsageError for what is no call, and for an unreadable file."""
    calls = [parse(word) for word in words]
    if file is not None:
        try:
            lines = text_of(file).splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            raise UsageError(f"{file} cannot be read: {reason}.") from None
        calls += parse_lines(lines, str(file))
    return tuple(calls)


def in_turns(calls: Sequence[Call], turns: int) -> tuple[Call, ...]:
    """`calls` as they are to be made one after another, so that `turns` of them tell the price of every kind.

    A kind is a call, or more than `MANY` that differ in ids only: those get one name, with `:id` in it. Kinds take turns by their weight
    in the list, which each call then carries. Of many alike reads are drawn from all over the list; writes keep its order. A list of
    single calls of one weight comes back as it is.
    """
    kinds = [kind for same in _by_template(calls) for kind in _kinds(same)]
    weights = [sum(call.weight for call in kind) for kind in kinds]
    if all(len(kind) == 1 for kind in kinds) and len(set(weights)) == 1:
        return tuple(calls)
    picked, taken = [], [0] * len(kinds)
    for chosen in _by_weight([max(weight / sum(weights), LEAST_SHARE) for weight in weights], turns):
        call = kinds[chosen][taken[chosen] % len(kinds[chosen])]
        picked.append(replace(call, weight=weights[chosen]))
        taken[chosen] += 1
    return tuple(picked)


def shares_of(turns: Sequence[Call]) -> dict[str, float]:
    """Which share of a job each kind of call is, by name, of `turns` as `in_turns` makes them."""
    weights = {call.name: call.weight for call in turns}
    return {name: weight / sum(weights.values()) for name, weight in weights.items()}


def _by_template(calls: Sequence[Call]) -> list[list[Call]]:
    groups: dict[str, list[Call]] = {}
    for call in calls:
        groups.setdefault(template(call), []).append(call)
    return list(groups.values())


def _kinds(same: list[Call]) -> list[list[Call]]:
    """One kind of many that differ in ids only, else one of each call."""
    different: dict[str, list[Call]] = {}
    for call in same:
        different.setdefault(call.name, []).append(call)
    if len(different) <= MANY:
        return list(different.values())
    alike = [replace(call, alike=template(call)) for call in same]
    if not alike[0].writes:
        random.Random(1).shuffle(alike)
    return [alike]


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
