"""`probes deploy`: prints a file for operators."""

from __future__ import annotations

import difflib
import os
from importlib.resources import files
from typing import Any

from probes.errors import UsageError
from probes.jobs.session import Told

SCHEMA = "probes.deploy/1"
TITLES = {
    "rules.yml": "recording rules, burn-rate alerts, throttling as an indicator of its own",
    "rules-test.yml": "their tests: promtool test rules rules-test.yml",
    "dashboard.json": "Grafana dashboard",
    "prometheus.yml": "scrape configuration, both ways",
    "web-config.yml": "TLS and users of the exporter: probes export --web-config web-config.yml",
    "exporter.service": "systemd unit of the exporter",
    "load.service": "systemd unit of a Locust worker",
    "load-kubernetes.yaml": "a Locust master and its workers on Kubernetes",
}


def listing() -> Told:
    """The names there are, and what each is."""
    known = [_entry(name) for name in names()]
    width = max(len(one["name"]) for one in known)
    lines = [f"{one['name']:<{width}}  {one['is']}".rstrip() for one in known]
    return Told({"schema": SCHEMA, "files": known}, "\n".join([*lines, "", "Print one: probes deploy NAME"]))


def one(name: str) -> Told:
    """The file `name`, alone. Raises UsageError with the nearest name when there is none."""
    whole = text(name)
    return Told({"schema": SCHEMA, "files": [{**_entry(name), "text": whole}]}, whole)


def _entry(name: str) -> dict[str, Any]:
    return {"name": name, "is": TITLES.get(name, "")}


def names() -> list[str]:
    """Names of the files, those of TITLES in its order, then others."""
    found = [one.name for one in files("probes.deploy").iterdir() if one.is_file() and not one.name.startswith(("_", "."))]
    order = list(TITLES)
    return sorted(found, key=lambda name: (order.index(name) if name in order else len(order), name))


def text(name: str) -> str:
    """The file `name` as it stands in the package. Raises UsageError with the nearest name when there is none."""
    known = names()
    if name not in known:
        wanted = os.path.basename(name)  # noqa: PTH119 # a word, not a path that is there
        stems = {one.rpartition(".")[0]: one for one in known}
        near = stems.get(wanted) or next(iter(difflib.get_close_matches(wanted, [*known, *stems], n=1, cutoff=0.4)), None)
        hint = f"did you mean {stems.get(near, near)}?" if near else f"there are {', '.join(known)}."
        raise UsageError(f"There is no file '{name}' to deploy: {hint}")
    return (files("probes.deploy") / name).read_text(encoding="utf-8")
