"""Commands as a user gives them: a configuration in a folder of its own, the command line in this process, what came out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from probes.observation import Observation
from probes.runs import Run


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str
    results: Path

    @property
    def document(self) -> Any:
        """The JSON document on stdout, and nothing else there."""
        return json.loads(self.out)

    @property
    def run(self) -> Run:
        """The only run folder."""
        (folder,) = self.results.iterdir()
        return Run.open(folder)

    def lines(self) -> list[Observation]:
        """The observations of the only run folder."""
        return list(self.run.observations())


def configured(place: Path, monkeypatch: pytest.MonkeyPatch, **instances: dict[str, Any]) -> Path:
    """A probes.toml that names these instances; their `token` goes into the environment."""
    lines = []
    for name, table in instances.items():
        token = table.pop("token", None)
        if token is not None:
            monkeypatch.setenv(f"TOKEN_{name.upper()}", token)
            table["token_env"] = f"TOKEN_{name.upper()}"
        lines.append(f"[instances.{name}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in table.items()]
    config = place / "probes.toml"
    config.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return config


def command(place: Path, *words: str) -> Ended:
    """`probes WORDS` with the configuration and the results below `place`."""
    out = [] if words[0] == "list" else ["--out", str(place / "results")]
    return run_here(words[0], "--config", str(place / "probes.toml"), *words[1:], *out, results=place / "results")


def run_here(*words: str, results: Path = Path()) -> Ended:
    """`probes WORDS` in this process; `results` is where its run folders are."""
    import sys
    from contextlib import redirect_stderr, redirect_stdout
    from io import StringIO
    from unittest.mock import patch

    from probes.cli import main

    out, err, code = StringIO(), StringIO(), 0
    with patch.object(sys, "argv", ["probes", *words]), redirect_stdout(out), redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    return Ended(code, out.getvalue(), err.getvalue(), results)


__all__ = ["Ended", "command", "configured", "run_here"]
