"""TLS contexts from a web-config, and whether a client's certificate has one of the names that may come in."""

from __future__ import annotations

import ssl
import tempfile
import warnings
from pathlib import Path
from typing import Any

from probes.errors import ConfigError
from probes.exporter.webconfig import CURVES, IF_GIVEN, REQUIRED, SUITES, Tls

_VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
_MODES = {IF_GIVEN: ssl.CERT_OPTIONAL, REQUIRED: ssl.CERT_REQUIRED}


def context(tls: Tls) -> ssl.SSLContext:
    """A server's context. Raises ConfigError when a file cannot be read, or what it holds is no certificate, or another's key."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # who asks for TLS 1.0 gets it
        made.minimum_version, made.maximum_version = _VERSIONS[tls.min_version], _VERSIONS[tls.max_version]
    if not tls.prefer_server_cipher_suites:
        made.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    suites = [SUITES[name] for name in tls.cipher_suites if name in SUITES]
    if suites:
        made.set_ciphers(":".join(suites))
    for curve in tls.curve_preferences:
        made.set_ecdh_curve(CURVES[curve])
    _certify(made, tls)
    _trust(made, tls)
    return made


def _certify(made: ssl.SSLContext, tls: Tls) -> None:
    """OpenSSL takes files only: what the web-config holds as text goes through one that nobody else may read, and is gone at once.

    It stands in a folder of its own (mode 0700), as Windows lets nobody read a temporary file that is open.
    """
    certificate, key = _text(tls.cert, tls.cert_file), _text(tls.key, tls.key_file)
    with tempfile.TemporaryDirectory() as folder:
        both = Path(folder) / "both.pem"
        both.write_text(f"{key}\n{certificate}\n", encoding="utf-8")
        try:
            made.load_cert_chain(both, password=_no_password)
        except (ssl.SSLError, ValueError):
            where = tls.cert_file or "cert"
            raise ConfigError(
                f"{where} and {tls.key_file or 'key'} are no certificate with its own key: both must be PEM, the key without a password."
            ) from None


def _no_password() -> str:
    """Without it OpenSSL would ask at the terminal."""
    raise ValueError


def _trust(made: ssl.SSLContext, tls: Tls) -> None:
    made.verify_mode = _MODES.get(tls.client_auth_type, ssl.CERT_NONE)
    if made.verify_mode is ssl.CERT_NONE:
        return
    if tls.client_ca is None and tls.client_ca_file is None:
        made.load_default_certs(ssl.Purpose.CLIENT_AUTH)
        return
    try:
        made.load_verify_locations(cadata=_text(tls.client_ca, tls.client_ca_file))
    except (ssl.SSLError, ValueError):
        raise ConfigError(f"{tls.client_ca_file or 'client_ca'} holds no certificate: it must be PEM.") from None


def _text(text: str | None, path: Path | None) -> str:
    if path is None:
        return text or ""
    try:
        return path.read_text(encoding="ascii")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} holds no certificate or key: it must be PEM.") from None


def has_name(certificate: dict[str, Any] | None, names: tuple[str, ...]) -> bool:
    """Whether a client's certificate (as `ssl` tells it) has one of these names: DNS, IP address, e-mail or URI, each exactly."""
    told = (certificate or {}).get("subjectAltName", ())
    return any(value in names for _, value in told)
