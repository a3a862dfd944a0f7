"""The web-config file: TLS, users with bcrypt hashes, headers and a rate limit, as Prometheus's own exporters take it.

The format is that of Prometheus's exporter-toolkit (docs/web-configuration.md there). What cannot be had from Python's TLS is refused by
name rather than left out: a setting that silently does nothing is worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from probes.errors import ConfigError
from probes.exporter.webtable import Table, document

HASH = re.compile(r"\$2[abxy]?\$(?:0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}")
"""A bcrypt hash; its cost is 4 to 31."""
HEADERS: Mapping[str, tuple[str, ...]] = {
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
    "Content-Security-Policy": (),
}
"""Headers that may be added to every answer, with their values where those are a closed list."""
VERSIONS = ("TLS10", "TLS11", "TLS12", "TLS13")
NO_CLIENT, IF_GIVEN, REQUIRED = "NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"
UNVERIFIED = ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")
"""Ask for a certificate and believe it unseen, which Python's TLS does not do."""
SUITES = {
    f"TLS_ECDHE_{signed}_WITH_{suite}": f"ECDHE-{signed}-{name}"
    for signed in ("ECDSA", "RSA")
    for suite, name in {
        "AES_128_CBC_SHA": "AES128-SHA",
        "AES_256_CBC_SHA": "AES256-SHA",
        "AES_128_GCM_SHA256": "AES128-GCM-SHA256",
        "AES_256_GCM_SHA384": "AES256-GCM-SHA384",
        "CHACHA20_POLY1305_SHA256": "CHACHA20-POLY1305",
    }.items()
}
"""Cipher suites up to TLS 1.2, by the names that the format has for them, as OpenSSL calls them."""
SUITES_13 = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
"""TLS 1.3 has these, always: naming them changes nothing, in Go as here."""
CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:h|ms|m|s|us|ns))+|0")
_PART = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s|us|ns)")
_UNITS_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


@dataclass(frozen=True, slots=True)
class Tls:
    """`tls_server_config`: files are paths from the web-config's folder; `cert`, `key` and `client_ca` hold PEM text in their place."""

    cert: str | None = None
    key: str | None = field(default=None, repr=False)
    client_ca: str | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    client_ca_file: Path | None = None
    client_auth_type: str = NO_CLIENT
    client_allowed_sans: tuple[str, ...] = ()
    min_version: str = "TLS12"
    max_version: str = "TLS13"
    cipher_suites: tuple[str, ...] = ()
    curve_preferences: tuple[str, ...] = ()
    prefer_server_cipher_suites: bool = True

    @property
    def files(self) -> tuple[Path, ...]:
        """The files it names."""
        return tuple(path for path in (self.cert_file, self.key_file, self.client_ca_file) if path is not None)


@dataclass(frozen=True, slots=True)
class WebConfig:
    """The whole file. `users` are bcrypt hashes by name; `burst` requests may pass at once, then one each `interval_s` (0: no limit)."""

    tls: Tls | None = None
    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    interval_s: float = 0.0
    burst: int = 0


def read(path: Path) -> WebConfig:
    """The web-config file at `path`. Raises ConfigError with one sentence that names the file, the key and what it must be."""
    whole = Table(path, "", document(path), ("tls_server_config", "http_server_config", "basic_auth_users", "rate_limit"))
    http = whole.table("http_server_config", ("http2", "headers"))
    http.flag("http2", default=True)  # it permits HTTP/2; HTTP/1.1, which is spoken here, needs no permission
    limit = whole.table("rate_limit", ("interval", "burst"))
    return WebConfig(
        tls=_tls(whole.table("tls_server_config", tuple(Tls.__dataclass_fields__))),
        users=_users(whole.table("basic_auth_users")),
        headers=_headers(http.table("headers", HEADERS)),
        interval_s=_interval_s(limit),
        burst=limit.count("burst"),
    )


def _tls(table: Table) -> Tls | None:
    if not table.values:
        return None
    tls = Tls(
        cert=table.text("cert"),
        key=table.text("key"),
        client_ca=table.text("client_ca"),
        cert_file=table.file("cert_file"),
        key_file=table.file("key_file"),
        client_ca_file=table.file("client_ca_file"),
        client_auth_type=_client_auth(table),
        client_allowed_sans=table.texts("client_allowed_sans"),
        min_version=table.text("min_version", VERSIONS) or "TLS12",
        max_version=table.text("max_version", VERSIONS) or "TLS13",
        cipher_suites=table.texts("cipher_suites", (*SUITES, *SUITES_13)),
        curve_preferences=table.texts("curve_preferences", CURVES),
        prefer_server_cipher_suites=table.flag("prefer_server_cipher_suites", default=True),
    )
    _whole(tls, table)
    return tls


def _client_auth(table: Table) -> str:
    named = table.text("client_auth_type", (NO_CLIENT, IF_GIVEN, REQUIRED, *UNVERIFIED)) or NO_CLIENT
    if named in UNVERIFIED:
        raise ConfigError(
            f"{table.path}: {table.prefix}client_auth_type {named} believes any certificate unseen, which is not done here: use {REQUIRED}."
        )
    return named


def _whole(tls: Tls, table: Table) -> None:
    """Raises ConfigError for what does not go together."""
    where = f"{table.path}: {table.prefix.rstrip('.')}"
    for one, other in ((tls.cert, tls.cert_file), (tls.key, tls.key_file), (tls.client_ca, tls.client_ca_file)):
        if one and other:
            raise ConfigError(f"{where} has {other.name} and the same as text: keep one.")
    for name, values in (("cert", (tls.cert, tls.cert_file)), ("key", (tls.key, tls.key_file))):
        if not any(values):
            raise ConfigError(f"{where} has neither {name}_file nor {name}: TLS needs a certificate and its key.")
    if (tls.client_ca or tls.client_ca_file) and tls.client_auth_type == NO_CLIENT:
        raise ConfigError(f"{where} names a client CA but asks no client for a certificate: add client_auth_type: {REQUIRED}.")
    if tls.client_allowed_sans and tls.client_auth_type != REQUIRED:
        raise ConfigError(f"{where}.client_allowed_sans needs client_auth_type: {REQUIRED}.")
    if VERSIONS.index(tls.min_version) > VERSIONS.index(tls.max_version):
        raise ConfigError(f"{where} allows no version at all: min_version is above max_version.")
    if len(tls.curve_preferences) > 1:
        raise ConfigError(f"{where}.curve_preferences can hold one curve here: Python's TLS takes no order of several.")


def _users(table: Table) -> dict[str, str]:
    for name, value in table.values.items():
        if not isinstance(value, str) or not HASH.fullmatch(value):
            raise table.wrong(name, "a bcrypt hash, as htpasswd -nBC 10 NAME prints it behind the colon")
        if ":" in name:
            raise ConfigError(f"{table.path}: {table.prefix}{name} cannot be a user: a name ends at its first colon.")
    return dict(table.values)


def _headers(table: Table) -> dict[str, str]:
    told = {name: table.text(name, HEADERS[name]) for name in table.values}
    for name, value in told.items():
        if value is not None and not (value.isascii() and value.isprintable()):
            raise table.wrong(name, "one line of ASCII text")
    return {name: value for name, value in told.items() if value is not None}


def _interval_s(limit: Table) -> float:
    """Go's durations: `1s`, `250ms`, `1m30s`."""
    value = limit.values.get("interval", "0")
    text = "0" if value == 0 else value
    if not isinstance(text, str) or not _DURATION.fullmatch(text):
        raise limit.wrong("interval", "a duration, as 1s or 250ms")
    interval_s = sum(float(number) * _UNITS_S[unit] for number, unit in _PART.findall(text))
    if interval_s and not limit.count("burst"):
        raise ConfigError(f"{limit.path}: rate_limit.burst must be 1 or more: with 0 no request would ever pass.")
    return interval_s
