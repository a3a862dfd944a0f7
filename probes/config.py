"""Which instances may be asked, and how hard: `probes.toml`, environment variables, ceilings, secrets by reference.

A token is never part of the configuration: an Instance knows where its token is, `Instance.token()` reads it when it is needed.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from probes.dialects import refuse_unknown
from probes.errors import ConfigError, NoConfigError
from probes.system import text_of
from probes.tokens import redact, remembered
from probes.wording import heard, meant

FILE_NAME = "probes.toml"
URL_VARIABLES = ("CANVAS_API_URL", "CANVAS_URL", "CANVAS_BASE_URL", "CANVAS_DOMAIN")
TOKEN_VARIABLES = ("CANVAS_API_TOKEN", "CANVAS_TOKEN", "CANVAS_API_KEY", "CANVAS_ACCESS_TOKEN")
VARIABLE = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
HOST = re.compile(r"^(?:[\w.-]+|[0-9a-fA-F:.]+)$")
LOOPBACK = re.compile(r"^(localhost|127(\.\d{1,3}){3}|::1)$")


class Kind(StrEnum):
    """What an instance is for."""

    PRODUCTION = "production"
    TEST = "test"
    BETA = "beta"
    SANDBOX = "sandbox"
    SIMULATED = "simulated"


@dataclass(frozen=True, slots=True)
class Instance:
    """A named place that may be asked.

    `url` is an origin without a trailing slash. Ceilings hold for everything that is sent: `max_rate` in requests/s, `max_in_flight`,
    `max_requests` per run; None is no ceiling. `timeout_s` is the read timeout.
    """

    name: str
    url: str
    kind: Kind = Kind.PRODUCTION
    dialect: str = "canvas"
    token_env: str | None = None
    token_file: Path | None = None
    max_rate: float | None = None
    max_in_flight: int | None = None
    max_requests: int | None = None
    allow_load: bool = False
    allow_writes: bool = False
    timeout_s: float = 60.0
    secret: str | None = field(default=None, repr=False, compare=False)

    def token(self) -> str | None:
        """The token, read now from where the configuration says, and never told again; None when the instance names none.

        Raises ConfigError when the place it names holds none.
        """
        if self.secret is not None:
            return remembered(self.secret)
        if self.token_env is not None:
            return remembered(_token_of_environment(self))
        return None if self.token_file is None else remembered(_token_of_file(self))


@dataclass(frozen=True, slots=True)
class Config:
    """The instances that may be asked, by name, and where they were read from."""

    instances: dict[str, Instance]
    source: str

    def pick(self, names: list[str]) -> list[Instance]:
        """The instances of `names`, all of them when empty. Raises ConfigError for an unknown name."""
        return [self._one(heard(name)) for name in names] if names else list(self.instances.values())

    def _one(self, name: str) -> Instance:
        if name in self.instances:
            return self.instances[name]
        known = ", ".join(sorted(self.instances)) or "none"
        raise ConfigError(f"There is no instance '{name}' in {self.source}: it names {known}.")


def load(path: Path | None = None, environment: Mapping[str, str] | None = None) -> Config:
    """The configuration: `path`, else `probes.toml` here, else the user's, else the environment's one instance `default`.

    Raises ConfigError with one sentence when it is missing, unreadable or wrong.
    """
    env = os.environ if environment is None else environment
    for candidate in _candidates(path):
        if path is not None or candidate.is_file():
            return _of_file(candidate)
    return _of_environment(env)


def _candidates(path: Path | None) -> list[Path]:
    if path is not None:
        return [path]
    import platformdirs

    return [Path(FILE_NAME), Path(platformdirs.user_config_dir("canvas-probes")) / FILE_NAME]


def _of_file(path: Path) -> Config:
    try:
        document = tomllib.loads(text_of(path))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(redact(f"{path} is not valid TOML: {error}.")) from None
    return Config(_instances(document, str(path), path.parent), str(path))


def _instances(document: dict[str, Any], source: str, folder: Path) -> dict[str, Instance]:
    refuse_unknown_keys(document, {"instances"}, source, "")
    tables = document.get("instances", {})
    if not isinstance(tables, dict) or not tables:
        raise ConfigError(f"{source} names no instance: add a table [instances.NAME] with a url.")
    return {_named(name, source): _instance(name, table, source, folder) for name, table in tables.items()}


def _named(name: str, source: str) -> str:
    """`name`, as far as it can be given to -i, told and made a word of; else ConfigError."""
    if not name.strip() or name != name.strip() or "/" in name or ".." in name or not name.isprintable():
        rule = "it must not be empty nor hold /, .., control characters or blanks around it"
        raise ConfigError(f"{source}: {name!a} is no name for an instance: {rule}.")
    return name


def _instance(name: str, table: Any, source: str, folder: Path) -> Instance:
    where = f"instances.{name}"
    if not isinstance(table, dict):
        raise ConfigError(f"{source}: {where} must be a table: write [{where}].")
    if "token" in table:
        raise ConfigError(f"{source}: {where}.token must not be in this file: name it by token_env or token_file.")
    refuse_unknown_keys(table, sorted(_TYPES), source, where + ".")
    for key, value in table.items():
        _checked(key, value, source, where)
    return _built(name, table, source, folder)


def _built(name: str, table: dict[str, Any], source: str, folder: Path) -> Instance:
    where = f"{source}: instances.{name}"
    if "url" not in table:
        raise ConfigError(f"{where} has no url.")
    if "token_env" in table and "token_file" in table:
        raise ConfigError(f"{where} names token_env and token_file: keep one.")
    if not VARIABLE.match(table.get("token_env", "_")):
        raise ConfigError(f"{where}.token_env must be the name of an environment variable, never the token itself.")
    refuse_unknown(table.get("dialect", "canvas"), f"{where}.dialect")
    url = normalised_url(table["url"], f"{where}.url")
    values = dict(table, url=url, kind=_kind(table, url, where))
    if "token_file" in values:
        values["token_file"] = folder / _home_expanded(values["token_file"], where)
    return Instance(name=name, **values)


def _home_expanded(text: str, where: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ConfigError(f"{where}.token_file begins with ~, but no home folder is known: write the whole path.") from None


_TYPES: dict[str, tuple[type, ...]] = {
    "url": (str,),
    "kind": (str,),
    "dialect": (str,),
    "token_env": (str,),
    "token_file": (str,),
    "max_rate": (int, float),
    "max_in_flight": (int,),
    "max_requests": (int,),
    "allow_load": (bool,),
    "allow_writes": (bool,),
    "timeout_s": (int, float),
}
_WORDS = {str: "text in quotes", int: "a whole number", float: "a number", bool: "true or false"}


def _checked(key: str, value: Any, source: str, where: str) -> None:
    types = _TYPES[key]
    wrong_bool = isinstance(value, bool) and bool not in types
    if wrong_bool or not isinstance(value, types):
        raise ConfigError(f"{source}: {where}.{key} must be {_WORDS[types[-1]]}.")
    if isinstance(value, int | float) and not isinstance(value, bool) and not 0 < value < float("inf"):
        raise ConfigError(f"{source}: {where}.{key} must be above 0.")


def refuse_unknown_keys(keys: Iterable[str], known: Collection[str], source: str, prefix: str = "") -> None:
    """Raises ConfigError that begins with `source` and names the first of the keys, behind `prefix`, that is none of those known."""
    for key in keys:
        if key not in known:
            raise ConfigError(f"{source}: unknown key {prefix}{key}: {meant(key, known)}")


def _kind(table: dict[str, Any], url: str, where: str) -> Kind:
    if "kind" not in table:
        return guessed_kind(url)
    try:
        return Kind(table["kind"])
    except ValueError:
        raise ConfigError(f"{where}.kind is '{table['kind']}': use one of {', '.join(Kind)}.") from None


def guessed_kind(url: str) -> Kind:
    """The kind that a host name suggests (hosted Canvas: `x.beta.instructure.com`); production when it suggests none.

    A school may be called `beta-academy`: taking production for a test instance does harm, the opposite none.
    """
    host = (urlsplit(url).hostname or "").lower()
    if LOOPBACK.match(host):
        return Kind.SIMULATED
    labels = host.split(".")
    for kind in (Kind.BETA, Kind.TEST):
        if kind.value in labels:
            return kind
    return Kind.SANDBOX if Kind.SANDBOX.value in re.split(r"[.-]", host) else Kind.PRODUCTION


def normalised_url(text: str, where: str) -> str:
    """`text` as an origin: a bare host gets https://, a trailing /api/v1 goes. Raises ConfigError that begins with `where`."""
    full = text if "://" in text else f"https://{text}"
    try:
        parts = urlsplit(full)
        port = parts.port
    except ValueError:
        raise ConfigError(f"{where} is not a URL: '{redact(text)}'.") from None
    if "@" in parts.netloc or parts.query:
        raise ConfigError(f"{where} must hold no credentials and no query.")
    if parts.scheme not in ("http", "https") or port == 0 or not HOST.match(parts.hostname or ""):
        raise ConfigError(f"{where} is not a URL: '{redact(text)}'.")
    if re.sub(r"/api(/v1)?/?$", "", parts.path).strip("/"):
        raise ConfigError(f"{where} must be an origin such as https://school.instructure.com, without the path '{parts.path}'.")
    if parts.scheme == "http" and not LOOPBACK.match(str(parts.hostname)):
        raise ConfigError(f"{where} must be https://: http:// is for loopback only.")
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{port}" if port else "")


def _of_environment(env: Mapping[str, str]) -> Config:
    url_variable = next((name for name in URL_VARIABLES if env.get(name)), None)
    if url_variable is None:
        raise NoConfigError(
            f"No configuration: there is no {FILE_NAME} here and {URL_VARIABLES[0]} is not set; write one, or try 'probes demo' first."
        )
    token_variable = next((name for name in TOKEN_VARIABLES if env.get(name)), None)
    url = normalised_url(env[url_variable], url_variable)
    instance = Instance("default", url, guessed_kind(url), token_env=token_variable)
    source = f"the environment ({url_variable}" + (f", {token_variable})" if token_variable else ", no token)")
    return Config({"default": instance}, source)


def _token_of_environment(instance: Instance) -> str:
    value = os.environ.get(instance.token_env or "", "").strip()
    if not value:
        raise ConfigError(f"Instance '{instance.name}' takes its token from {instance.token_env}, which is not set: export it first.")
    return _clean(value, instance, str(instance.token_env))


def _token_of_file(instance: Instance) -> str:
    path = instance.token_file
    assert path is not None
    try:
        value = text_of(path).strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise ConfigError(f"Instance '{instance.name}' takes its token from {path}, which cannot be read: {reason}.") from None
    if not value:
        raise ConfigError(f"Instance '{instance.name}' takes its token from {path}, which is empty.")
    return _clean(value, instance, str(path))


def _clean(value: str, instance: Instance, place: str) -> str:
    if not value.isascii() or any(c.isspace() or not c.isprintable() for c in value):
        raise ConfigError(f"The token of instance '{instance.name}' in {place} holds blanks or odd characters: copy it again.")
    return value
