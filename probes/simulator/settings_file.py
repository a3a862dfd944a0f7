"""Settings from TOML or JSON tables and back: every field of SimulatorSettings, checked, with the nearest name for a wrong one.

profile = "beta"
slots = 4
cross_traffic_per_s = 2.5

[bucket]
high_water_mark = 700

[services."GET /api/v1/users/self"]
median_s = 0.4

[[faults]]
kind = "slow_headers"
path = "/api/v1/courses"
every = 10
seconds = 30
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from probes.bucket import BucketSettings
from probes.config import refuse_unknown_keys
from probes.errors import ConfigError
from probes.simulator.faults import fault_of
from probes.simulator.profiles import profile
from probes.simulator.settings import Service, SimulatorSettings
from probes.system import text_of

TOP = {f.name: str(f.type) for f in fields(SimulatorSettings)}
BUCKET = frozenset({"high_water_mark", "maximum", "up_front_cost", "outflow_per_s"})
POSITIVE = BUCKET | {"slots", "time_scale", "max_per_page", "cross_traffic_cost"}
WORDS = {"bool": "true or false", "int": "a whole number", "float": "a number", "str": "text in quotes"}
LATEST_S = 32_503_680_000.0
"""The year 3000: times to come, as of imports that wait, must be written as well."""
SHARES = frozenset({"cost_share", "db_share"})


def read_settings(path: Path, base: SimulatorSettings | None = None) -> SimulatorSettings:
    """The settings of a TOML file over `base`, else over the profile it names by `profile`. Raises ConfigError with one sentence."""
    try:
        table = tomllib.loads(text_of(path))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.") from None
    return settings_of(table, str(path), base)


def settings_of(table: Mapping[str, Any], where: str, base: SimulatorSettings | None = None) -> SimulatorSettings:
    """The settings that `table` describes, over `base` or the profile named in it. Raises ConfigError that begins with `where`."""
    values = dict(table)
    named = values.pop("profile", None)
    if named is not None and not isinstance(named, str):
        raise ConfigError(f"{where}: profile must be text in quotes.")
    start = base if base is not None and named is None else profile(named or "production")
    refuse_unknown_keys(values, sorted([*TOP, "profile"]), where)
    return start.changed(**{key: _read(key, value, where, start) for key, value in values.items()})


def as_table(settings: SimulatorSettings) -> dict[str, Any]:
    """`settings` as a table that `settings_of` reads back."""
    table: dict[str, Any] = _without_none(asdict(settings))
    return table


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(inner) for key, inner in value.items() if inner is not None}
    return [_without_none(inner) for inner in value] if isinstance(value, list | tuple) else value


def _read(key: str, value: Any, where: str, start: SimulatorSettings) -> Any:
    if key == "bucket":
        return _bucket(value, f"{where}: bucket", start.bucket)
    if key == "buckets":
        return {name: _bucket(t, f"{where}: buckets.{name}", start.bucket) for name, t in _tables(value, where, key).items()}
    if key == "services":
        return {name: _record(Service, t, f"{where}: services.{name}", None) for name, t in _tables(value, where, key).items()}
    if key == "faults":
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{where}: faults must be tables: write [[faults]].")
        return tuple(fault_of(t, f"{where}: fault {place}") for place, t in enumerate(value, 1))
    if TOP[key].startswith("tuple"):
        if not isinstance(value, list | tuple) or not all(isinstance(word, str) for word in value):
            raise ConfigError(f"{where}: {key} must be a list of texts.")
        return tuple(value)
    return _checked(key, value, TOP[key], where)


def _bucket(table: Any, where: str, start: BucketSettings) -> BucketSettings:
    return _record(BucketSettings, table, where, start)  # type: ignore[no-any-return] # the record it is given


def _record(kind: type[Any], table: Any, where: str, start: Any) -> Any:
    """A BucketSettings or Service with the fields of `table`, the others from `start` or the default."""
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where} must be a table.")
    known = {f.name: str(f.type) for f in fields(kind)}
    refuse_unknown_keys(table, sorted(known), where)
    values = {key: _checked(key, value, known[key], where) for key, value in table.items()}
    return kind(**(asdict(start) if start is not None else {}) | values)


def _checked(key: str, value: Any, kind: str, where: str) -> Any:
    wanted = kind.split(" ", maxsplit=1)[0]
    types: dict[str, tuple[type, ...]] = {"bool": (bool,), "int": (int,), "float": (int, float), "str": (str,)}
    if not isinstance(value, types[wanted]) or (isinstance(value, bool) and wanted != "bool"):
        raise ConfigError(f"{where}: {key} must be {WORDS[wanted]}.")
    if isinstance(value, int | float):
        _in_range(key, value, where)
    if key == "token" and re.fullmatch("[!-~]+", str(value)) is None:
        raise ConfigError(f"{where}: token must be one word of ASCII characters.")
    if key.endswith("_status") and value not in (401, 403, 429):
        raise ConfigError(f"{where}: {key} is {value}: Canvas uses 401, 403 or 429.")
    return value


def _in_range(key: str, value: float, where: str) -> None:
    if not abs(value) < float("inf"):
        raise ConfigError(f"{where}: {key} must be a finite number.")
    if key in POSITIVE and value <= 0:
        raise ConfigError(f"{where}: {key} must be above 0.")
    if key in SHARES and not 0 <= value <= 1:
        raise ConfigError(f"{where}: {key} must be between 0 and 1.")
    if key == "epoch_s" and value > LATEST_S:
        raise ConfigError(f"{where}: epoch_s must be seconds since 1970, before the year 3000.")
    if key != "seed" and value < 0:
        raise ConfigError(f"{where}: {key} must not be negative.")


def _tables(value: Any, where: str, key: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f'{where}: {key} must be a table of tables: write [{key}."NAME"].')
    return value
