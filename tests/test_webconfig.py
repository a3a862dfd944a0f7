from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme

from probes.errors import ConfigError
from probes.exporter.tls import context, has_name
from probes.exporter.webconfig import Tls, WebConfig, read

HASH = "$2y$04$" + "a" * 53
CERTIFICATE = "tls_server_config:\n  cert_file: c.pem\n  key_file: k.pem\n"


def web(folder: Path, text: str) -> Path:
    path = folder / "web.yml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def pair(authority: trustme.CA, tmp_path: Path) -> Path:
    """A folder with c.pem, k.pem and ca.pem."""
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "c.pem")
    issued.private_key_pem.write_to_path(tmp_path / "k.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return tmp_path


def test_all_of_it(tmp_path: Path) -> None:
    """Every key of the format is read; files are looked for beside the web-config."""
    text = f"""
tls_server_config:
  cert_file: c.pem
  key_file: /keys/k.pem
  client_ca_file: ca.pem
  client_auth_type: RequireAndVerifyClientCert
  client_allowed_sans: [prometheus.example]
  min_version: TLS13
  max_version: TLS13
  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256]
  curve_preferences: [CurveP256]
  prefer_server_cipher_suites: false
http_server_config:
  http2: true
  headers:
    X-Frame-Options: deny
    Strict-Transport-Security: max-age=31536000
basic_auth_users:
  alice: {HASH}
rate_limit:
  interval: 1m30s
  burst: 20
"""
    assert read(web(tmp_path, text)) == WebConfig(
        Tls(
            cert_file=tmp_path / "c.pem",
            key_file=Path("/keys/k.pem"),
            client_ca_file=tmp_path / "ca.pem",
            client_auth_type="RequireAndVerifyClientCert",
            client_allowed_sans=("prometheus.example",),
            min_version="TLS13",
            cipher_suites=("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"),
            curve_preferences=("CurveP256",),
            prefer_server_cipher_suites=False,
        ),
        {"alice": HASH},
        {"X-Frame-Options": "deny", "Strict-Transport-Security": "max-age=31536000"},
        90.0,
        20,
    )


@pytest.mark.parametrize("text", ["", "# nothing\n", "basic_auth_users:\nhttp_server_config: {headers: }\ntls_server_config: {}\n"])
def test_nothing_is_asked(tmp_path: Path, text: str) -> None:
    """An empty file, and one whose tables are empty, ask for nothing."""
    assert read(web(tmp_path, text)) == WebConfig()


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    """Neither a hash nor a key is in the text of what was read."""
    told = repr(read(web(tmp_path, f"tls_server_config: {{cert: c, key: my-key}}\nbasic_auth_users: {{a: {HASH}}}\n")))
    assert "my-key" not in told
    assert HASH not in told


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tls_server: {}", "unknown key tls_server: did you mean tls_server_config?"),
        ("tls_server_config: {cert_fle: c}", "unknown key tls_server_config.cert_fle: did you mean cert_file?"),
        ("zzz: 1", "unknown key zzz: known are tls_server_config, http_server_config, basic_auth_users, rate_limit."),
        ("- a", "must be a mapping of keys to values."),
        ("tls_server_config: yes", "tls_server_config must be a mapping of keys to values."),
        ("tls_server_config: {cert_file: 7}", "tls_server_config.cert_file must be text."),
        ("tls_server_config: {cert_file: c.pem}", "tls_server_config has neither key_file nor key: TLS needs a certificate and its key."),
        ("tls_server_config: {key_file: k.pem}", "tls_server_config has neither cert_file nor cert: TLS needs a certificate and its key."),
        (CERTIFICATE + "  cert: PEM", "tls_server_config has c.pem and the same as text: keep one."),
        (CERTIFICATE + "  min_version: TLS14", "tls_server_config.min_version must be one of TLS10, TLS11, TLS12, TLS13."),
        (
            CERTIFICATE + "  min_version: TLS13\n  max_version: TLS12",
            "tls_server_config allows no version at all: min_version is above max_version.",
        ),
        (
            CERTIFICATE + "  client_auth_type: Sometimes",
            "tls_server_config.client_auth_type must be one of NoClientCert, VerifyClientCertIfGiven, RequireAndVerifyClientCert, Request",
        ),
        (
            CERTIFICATE + "  client_auth_type: RequireAnyClientCert",
            "tls_server_config.client_auth_type RequireAnyClientCert believes any certificate unseen, which is not done here: use Require",
        ),
        (
            CERTIFICATE + "  client_ca_file: ca.pem",
            "tls_server_config names a client CA but asks no client for a certificate: add client_auth_type: RequireAndVerifyClientCert.",
        ),
        (
            CERTIFICATE + "  client_allowed_sans: [a]",
            "tls_server_config.client_allowed_sans needs client_auth_type: RequireAndVerifyClientCert.",
        ),
        (CERTIFICATE + "  client_allowed_sans: a", "tls_server_config.client_allowed_sans must be a list of text."),
        (
            CERTIFICATE + "  curve_preferences: [X25519, CurveP256]",
            "tls_server_config.curve_preferences can hold one curve here: Python's TLS takes no order of several.",
        ),
        (
            CERTIFICATE + "  curve_preferences: [P256]",
            "tls_server_config.curve_preferences must be a list of CurveP256, CurveP384, CurveP521, X25519.",
        ),
        (
            CERTIFICATE + "  prefer_server_cipher_suites: 1",
            "tls_server_config.prefer_server_cipher_suites must be true or false.",
        ),
        (
            "basic_auth_users: {alice: secret}",
            "basic_auth_users.alice must be a bcrypt hash, as htpasswd -nBC 10 NAME prints it behind the colon.",
        ),
        ("basic_auth_users: {7: x}", "basic_auth_users.7 must be text: write it in quotes."),
        (f"basic_auth_users: {{'a:b': {HASH}}}", "basic_auth_users.a:b cannot be a user: a name ends at its first colon."),
        ("http_server_config: {headers: {X-Powered-By: me}}", "unknown key http_server_config.headers.X-Powered-By: known are Strict-"),
        (
            "http_server_config: {headers: {X-Frame-Options: no}}",
            "http_server_config.headers.X-Frame-Options must be one of deny, sameorigin.",
        ),
        (
            'http_server_config: {headers: {Content-Security-Policy: "a\\nSet-Cookie: b"}}',
            "http_server_config.headers.Content-Security-Policy must be one line of ASCII text.",
        ),
        ("http_server_config: {http2: maybe}", "http_server_config.http2 must be true or false."),
        ("rate_limit: {interval: soon, burst: 1}", "rate_limit.interval must be a duration, as 1s or 250ms."),
        ("rate_limit: {interval: 1s}", "rate_limit.burst must be 1 or more: with 0 no request would ever pass."),
        ("rate_limit: {interval: 1s, burst: -1}", "rate_limit.burst must be a whole number, 0 or more."),
        ("a: [", "is not valid YAML: expected the node content, but found '<stream end>' in line 1."),
        ("rate_limit: {}\nrate_limit: {}", "is not valid YAML: 'rate_limit' stands twice in line 2."),
        ("a: \x00", "is not valid YAML: it holds characters or nesting that YAML does not allow."),
        ("a: !!python/object:os.system x", "is not valid YAML: could not determine a constructor for the tag"),
    ],
)
def test_what_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    """Whatever is wrong is one sentence that names the file, the key and what it must be; never the value of a secret."""
    path = web(tmp_path, text)
    with pytest.raises(ConfigError) as told:
        read(path)
    sentence = str(told.value)
    assert sentence.startswith((f"{path}: {said}", f"{path} {said}"))
    assert sentence.endswith((".", "?"))


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A file that is not there, and one that is no text, are one sentence."""
    with pytest.raises(ConfigError, match=r"none\.yml cannot be read: No such file or directory\.$"):
        read(tmp_path / "none.yml")
    (tmp_path / "web.yml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"web\.yml is not UTF-8 text\.$"):
        read(tmp_path / "web.yml")


def test_context(pair: Path) -> None:
    """Versions, suites and the client's certificate are OpenSSL's as the file has them."""
    made = context(
        Tls(
            cert_file=pair / "c.pem",
            key_file=pair / "k.pem",
            client_ca_file=pair / "ca.pem",
            client_auth_type="RequireAndVerifyClientCert",
            min_version="TLS12",
            max_version="TLS12",
            cipher_suites=("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",),
            curve_preferences=("CurveP256",),
            prefer_server_cipher_suites=False,
        )
    )
    assert (made.minimum_version, made.maximum_version) == (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)
    assert made.verify_mode is ssl.CERT_REQUIRED
    assert [one["name"] for one in made.get_ciphers() if one["protocol"] == "TLSv1.2"] == ["ECDHE-ECDSA-AES128-GCM-SHA256"]
    assert len(made.get_ca_certs()) == 1
    assert not made.options & ssl.OP_CIPHER_SERVER_PREFERENCE


def test_context_from_text(pair: Path) -> None:
    """Certificate, key and client CA may stand in the file itself; without a CA the system's are trusted."""
    texts = {name: (pair / f"{name}.pem").read_text(encoding="ascii") for name in ("c", "k", "ca")}
    made = context(Tls(cert=texts["c"], key=texts["k"], client_ca=texts["ca"], client_auth_type="VerifyClientCertIfGiven"))
    assert (made.verify_mode, len(made.get_ca_certs())) == (ssl.CERT_OPTIONAL, 1)
    assert context(Tls(cert=texts["c"], key=texts["k"], client_auth_type="VerifyClientCertIfGiven")).verify_mode is ssl.CERT_OPTIONAL


def test_contexts_that_are_none(pair: Path, authority: trustme.CA) -> None:
    """A missing file, another's key, a key with a password and a CA that is none are one sentence each."""
    authority.issue_cert("other").private_key_pem.write_to_path(pair / "other.pem")
    (pair / "no.pem").write_text("hello", encoding="ascii")
    (pair / "binary.pem").write_bytes(b"\xff")
    files = {"cert_file": pair / "c.pem", "key_file": pair / "k.pem"}

    def said(**changed: object) -> str:
        with pytest.raises(ConfigError) as told:
            context(Tls(**{**files, **changed}))  # type: ignore[arg-type]
        return str(told.value).replace(f"{pair}/", "")

    assert said(cert_file=pair / "gone.pem") == "gone.pem cannot be read: No such file or directory."
    unfit = "c.pem and {} are no certificate with its own key: both must be PEM, the key without a password."
    assert said(key_file=pair / "other.pem") == unfit.format("other.pem")
    assert said(key_file=pair / "no.pem") == unfit.format("no.pem")
    assert said(key_file=pair / "binary.pem") == "binary.pem holds no certificate or key: it must be PEM."
    client = {"client_auth_type": "RequireAndVerifyClientCert"}
    assert said(client_ca_file=pair / "no.pem", **client) == "no.pem holds no certificate: it must be PEM."


def test_names_of_a_certificate() -> None:
    """One of its alternative names must be on the list, exactly."""
    certificate = {"subjectAltName": (("DNS", "prometheus.example"), ("IP Address", "10.0.0.1"))}
    assert has_name(certificate, ("10.0.0.1",))
    assert not has_name(certificate, ("example", "prometheus"))
    assert not has_name(None, ("a",))
    assert not has_name({}, ("a",))
