"""`probes list`: scenarios, dialects, instances, kinds of finding."""

from __future__ import annotations

from typing import Any

from probes import dialects, scenarios
from probes.config import Config
from probes.errors import ConfigError, NoConfigError
from probes.findings import KINDS
from probes.jobs.session import Settings, Told

SCHEMA = "probes.list/1"


def listing(settings: Settings) -> tuple[Told, ConfigError | None]:
    """What there is to ask and to find, and what is wrong with the configuration, to be raised once that is told: then no instance is told.

    That there is none at all is no error here.
    """
    config, wrong = _configured(settings)
    source = config.source if wrong is None else str(wrong)
    document = {
        "schema": SCHEMA,
        "scenarios": [_scenario(name) for name in scenarios.names()],
        "dialects": [{"name": name, "title": dialects.dialect(name).title} for name in dialects.names()],
        "instances": [
            {"name": one.name, "url": one.url, "kind": one.kind.value, "dialect": one.dialect} for one in config.instances.values()
        ],
        "source": source,
        "findings": [{"kind": kind, "means": means} for kind, means in KINDS.items()],
    }
    return Told(document, _text(document)), None if isinstance(wrong, NoConfigError) else wrong


def _configured(settings: Settings) -> tuple[Config, ConfigError | None]:
    try:
        return settings.load(), None
    except ConfigError as error:
        return Config({}, ""), error


def _scenario(name: str) -> dict[str, Any]:
    one = scenarios.scenario(name)
    return {"name": one.name, "asks": one.asks, "requests": one.budget(scenarios.Options()), "writes": one.writes}


def _text(document: dict[str, Any]) -> str:
    lines = ["Scenarios (probes run NAME, or all):"]
    lines += [f"  {one['name']:<12} {one['asks']} At most {one['requests']} requests." for one in document["scenarios"]]
    lines += ["", "Dialects:"]
    lines += [f"  {one['name']:<12} {one['title']}" for one in document["dialects"]]
    lines += ["", f"Instances ({document['source']}):" if document["instances"] else f"Instances: none. {document['source']}"]
    lines += [f"  {one['name']:<12} {one['url']} ({one['kind']}, {one['dialect']})" for one in document["instances"]]
    lines += ["", "Kinds of finding:"]
    lines += [f"  {one['kind']:<20} {one['means']}" for one in document["findings"]]
    return "\n".join(lines)
