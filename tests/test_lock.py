"""requirements.lock: what `make demo` and `make test` install on a machine of next year."""

import re
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

LOCK = Path(__file__).parents[1].joinpath("requirements.lock").read_text(encoding="utf-8")


def asked_with_extras() -> set[str]:
    """`name[extra]` of each requirement of an installed distribution that names an extra, extras of the asker's own left out."""
    asked = (Requirement(text) for distribution in metadata.distributions() for text in distribution.requires or [])
    plain = (each for each in asked if each.marker is None or each.marker.evaluate({"extra": ""}))
    return {f"{each.name}[{','.join(sorted(each.extras))}]" for each in plain if each.extras}


def test_what_is_asked_with_an_extra_is_locked_with_it() -> None:
    """Pip before 23.3 takes the newest release of `coverage[toml]` where only `coverage` is pinned, and then refuses it as unpinned."""
    assert set() < asked_with_extras() <= set(re.findall(r"^(\S+\[\S+\])==", LOCK, re.MULTILINE))
