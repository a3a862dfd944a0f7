from __future__ import annotations

import asyncio
import os
import socket
import ssl
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import bcrypt
import httpx
import pytest
import trustme
from exporting import Exporting, exporting

from probes.errors import ConfigError
from probes.exporter.door import MOST_KNOWN, Door, Guarded, Passwords
from probes.simulator.profiles import profile
from probes.simulator.server import Served

PATHS = ("/", "/metrics", "/-/healthy", "/probe?target=beta", "/nowhere")


def hashed(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()


def basic(name: str, password: str) -> str:
    return "Basic " + b64encode(f"{name}:{password}".encode()).decode()


def a_door(folder: Path, text: str, said: list[str] | None = None) -> Door:
    path = folder / "web.yml"
    path.write_text(text, encoding="utf-8")
    return Door(path, (said if said is not None else []).append)


def changed(path: Path, text: str) -> None:
    """Writes a file so that its time differs, whatever the file system's clock."""
    path.write_text(text, encoding="utf-8")
    later = time.time_ns() + 10_000_000
    os.utime(path, ns=(later, later))


def test_users(tmp_path: Path) -> None:
    """The user's own password comes in, cut at 72 bytes as bcrypt does; another's, none and nonsense do not."""
    words = {"alice": "secret", "bob": "ö" * 40}
    users = "".join(f"  {name}: {hashed(word[:36])}\n" for name, word in words.items())
    door = a_door(tmp_path, f"basic_auth_users:\n{users}")

    async def known(authorization: str) -> bool:
        return await door.knows(authorization)

    for said, expected in {
        basic("alice", "secret"): True,
        basic("bob", "ö" * 40): True,
        basic("alice", "ö" * 40): False,
        basic("carol", "secret"): False,
        basic("alice", ""): False,
        basic("alice", "a\0b"): False,
        "Basic " + b64encode(b"alice").decode(): False,
        "Basic " + b64encode(b"\xff:x").decode(): False,
        "Basic ?": False,
        basic("alice", "secret").replace("Basic", "Bearer"): False,
        basic("alice", "secret").replace("Basic", "basic"): True,
        "": False,
    }.items():
        assert asyncio.run(known(said)) is expected, said


def test_a_hash_of_other_tools(tmp_path: Path) -> None:
    """A hash that Go's bcrypt made ($2y$, cost 10; from the tests of Prometheus's exporter-toolkit) is taken as it is."""
    door = a_door(tmp_path, "basic_auth_users:\n  alice: $2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi\n")

    async def known(password: str) -> bool:
        return await door.knows(basic("alice", password))

    assert [asyncio.run(known(word)) for word in ("fakepassword", "Fakepassword")] == [True, False]


def test_bcrypt_runs_once_for_each_password() -> None:
    """Twenty scrapes at once with one password hash it once; a wrong one is remembered too; the oldest are forgotten first."""
    runs: list[bytes] = []

    def check(password: bytes, known: str) -> bool:
        runs.append(password)
        return known == password.decode()

    passwords = Passwords(check)

    async def known(password: bytes) -> bool:
        return await passwords.fits("alice", password, "secret")

    async def main() -> None:
        assert await asyncio.gather(*(known(b"secret") for _ in range(20))) == [True] * 20
        assert [await known(b"wrong") for _ in range(5)] == [False] * 5
        assert runs == [b"secret", b"wrong"]
        others = [b"%d" % number for number in range(MOST_KNOWN - 1)]
        for other in others:
            await known(other)
        await known(b"wrong")
        assert runs == [b"secret", b"wrong", *others], "room for all but the first"
        await known(b"secret")
        assert runs[-1] == b"secret"

    asyncio.run(main())


def test_changes_are_taken(tmp_path: Path) -> None:
    """A changed file is taken at the next look; a bad one keeps the old, is said once, and is told by `good`."""
    said: list[str] = []
    door = a_door(tmp_path, f"basic_auth_users:\n  alice: {hashed('secret')}\n", said)
    door.look()
    assert (said, list(door.config.users)) == ([], ["alice"])
    path = tmp_path / "web.yml"
    changed(path, "basic_auth: {}\n")
    door.look()
    door.look()
    wrong = f"{path}: unknown key basic_auth: did you mean basic_auth_users?"
    assert said == [f"The old web configuration is kept. {wrong}"]
    assert (list(door.config.users), door.good) == (["alice"], False)
    assert door.reload() == wrong
    path.unlink()
    door.look()
    assert said[-1] == f"The old web configuration is kept. {path} cannot be read: No such file or directory."
    changed(path, f"basic_auth_users:\n  bob: {hashed('secret')}\n")
    door.look()
    assert (said[-1], list(door.config.users), door.good) == ("Web configuration read again.", ["bob"], True)


def test_a_bad_file_at_the_start(tmp_path: Path) -> None:
    """There is no old one to keep: the door is not made."""
    with pytest.raises(ConfigError, match="unknown key zzz"):
        a_door(tmp_path, "zzz: 1")


async def _answer(scope: object, receive: object, send: object) -> None:
    from starlette.responses import PlainTextResponse

    await PlainTextResponse("in\n")(scope, receive, send)  # type: ignore[arg-type]


def through(door: Door, *authorizations: str) -> list[httpx.Response]:
    """Answers of an application behind the door, one after another."""

    async def main() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(Guarded(_answer, door)), base_url="http://exporter") as client:
            return [await client.get("/", headers={"Authorization": one} if one else {}) for one in authorizations]

    return asyncio.run(main())


def test_headers_are_on_every_answer(tmp_path: Path) -> None:
    """What the file adds stands on answers and on refusals."""
    door = a_door(tmp_path, f"http_server_config: {{headers: {{X-Frame-Options: deny}}}}\nbasic_auth_users: {{a: {hashed('b')}}}\n")
    answers = through(door, basic("a", "b"), "")
    assert [(one.status_code, one.text, one.headers["x-frame-options"]) for one in answers] == [
        (200, "in\n", "deny"),
        (401, "Unauthorized\n", "deny"),
    ]
    assert answers[1].headers["www-authenticate"] == "Basic"


def test_rate_limit(tmp_path: Path) -> None:
    """As many as `burst` pass at once, the next are refused before a password is looked at."""
    door = a_door(tmp_path, "rate_limit: {interval: 1h, burst: 3}\n")
    assert [one.status_code for one in through(door, *[""] * 5)] == [200, 200, 200, 429, 429]


def test_rate_limit_refills(tmp_path: Path) -> None:
    """One more passes each interval."""
    door = a_door(tmp_path, "rate_limit: {interval: 1s, burst: 1}\n")
    assert [door.lets_pass(), door.lets_pass()] == [True, False]
    door._counted_s -= 1.0
    assert [door.lets_pass(), door.lets_pass()] == [True, False]


@dataclass(frozen=True)
class Secured:
    """An exporter with TLS and a user, and what a client needs for it."""

    exporting: Exporting
    authority: trustme.CA
    folder: Path

    def ask(
        self, path: str = "/metrics", *, auth: tuple[str, str] | None = ("alice", "secret"), context: ssl.SSLContext | None = None
    ) -> httpx.Response:
        """One request over a new connection."""
        with httpx.Client(verify=context or self.trusting(), trust_env=False, timeout=10) as client:
            return client.get(self.exporting.url + path, auth=auth)

    def trusting(self) -> ssl.SSLContext:
        """A client's context."""
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        return context

    def issue(self) -> None:
        """A new certificate in place of the old."""
        issued = self.authority.issue_cert("127.0.0.1")
        issued.private_key_pem.write_to_path(self.folder / "key.pem")
        issued.cert_chain_pems[0].write_to_path(self.folder / "cert.pem")

    def serial(self) -> str:
        """Of the certificate that a new connection is shown."""
        port = int(self.exporting.url.rpartition(":")[2])
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
            self.trusting().wrap_socket(plain, server_hostname="127.0.0.1") as secure,
        ):
            return str((secure.getpeercert() or {})["serialNumber"])


WEB = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n{more}basic_auth_users:\n  alice: {hash}\n"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("web")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    (folder / "web.yml").write_text(WEB.format(more="", hash=hashed("secret")), encoding="utf-8")
    Secured(None, authority, folder).issue()  # type: ignore[arg-type]
    with (
        Served(profile("sandbox").changed(time_scale=0.05)) as simulator,
        exporting(folder, simulator.url, simulator.token, more=("--web-config", "web.yml")) as one,
    ):
        yield Secured(one, authority, folder)


@pytest.mark.slow
def test_over_tls(secured: Secured) -> None:
    """The exporter says https, serves it, and every path needs the password, /-/healthy too."""
    assert secured.exporting.url.startswith("https://")
    assert secured.ask("/-/healthy").text == "Healthy\n"
    assert "canvas_probe_rounds_total" in secured.ask().text
    refused = {path: secured.ask(path, auth=None) for path in PATHS}
    assert {one.status_code for one in refused.values()} == {401}
    assert {one.text for one in refused.values()} == {"Unauthorized\n"}
    assert secured.ask(auth=("alice", "wrong")).status_code == 401


@pytest.mark.slow
def test_the_browsers_first_connection_is_plain(secured: Secured) -> None:
    """Plain HTTP to a TLS port ends that connection and no other; so does one that sends nothing."""
    port = int(secured.exporting.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10), pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False, timeout=10)
    assert secured.ask("/-/healthy").status_code == 200


@pytest.mark.slow
def test_old_versions_are_refused(secured: Secured) -> None:
    """TLS 1.2 is the least, as in other exporters."""
    context = secured.trusting()
    context.minimum_version, context.maximum_version = ssl.TLSVersion.MINIMUM_SUPPORTED, ssl.TLSVersion.TLSv1_2
    assert secured.ask("/-/healthy", context=context).status_code == 200
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(httpx.ConnectError):
        secured.ask("/-/healthy", context=context)


@pytest.mark.slow
def test_a_new_certificate_is_taken(secured: Secured) -> None:
    """The next connection after a new certificate is shown it; while only half of it is there, the old one."""
    old = secured.serial()
    key = (secured.folder / "key.pem").read_text(encoding="ascii")
    secured.issue()
    new_key = (secured.folder / "key.pem").read_text(encoding="ascii")
    changed(secured.folder / "key.pem", key)
    assert secured.serial() == old
    assert "canvas_probe_config_last_reload_successful 0.0" in secured.ask().text
    changed(secured.folder / "key.pem", new_key)
    assert secured.serial() != old
    assert "canvas_probe_config_last_reload_successful 1.0" in secured.ask().text


@pytest.mark.slow
def test_a_client_certificate_with_a_name(secured: Secured) -> None:
    """With client_allowed_sans a certificate of the right authority and name comes in; none, and another name, do not."""
    web = secured.folder / "web.yml"
    good = web.read_text(encoding="utf-8")
    more = "  client_ca_file: ca.pem\n  client_auth_type: RequireAndVerifyClientCert\n  client_allowed_sans: [prometheus.example]\n"
    changed(web, WEB.format(more=more, hash=hashed("secret")))
    try:
        for names, comes_in in {(): False, ("prometheus.example",): True, ("other.example",): False}.items():
            context = secured.trusting()
            if names:
                secured.authority.issue_cert(*names).configure_cert(context)
            if comes_in:
                assert secured.ask("/-/healthy", context=context).status_code == 200
            else:
                with pytest.raises(httpx.TransportError):
                    secured.ask("/-/healthy", context=context)
    finally:
        changed(web, good)
    assert secured.ask("/-/healthy").status_code == 200


@pytest.mark.slow
def test_reload_tells_of_the_web_config(secured: Secured) -> None:
    """POST /-/reload with a bad web-config answers 500 and the sentence, and the old one holds."""
    web = secured.folder / "web.yml"
    good = web.read_text(encoding="utf-8")
    changed(web, "tls_server_config: {}\nbasic_auth: {}\n")
    with httpx.Client(verify=secured.trusting(), trust_env=False, auth=("alice", "secret")) as client:
        answer = client.post(f"{secured.exporting.url}/-/reload")
        assert (answer.status_code, answer.text) == (500, "web.yml: unknown key basic_auth: did you mean basic_auth_users?\n")
        changed(web, good)
        assert client.post(f"{secured.exporting.url}/-/reload").text == "Reloaded\n"


@pytest.mark.slow
def test_a_bad_file_is_exit_2(tmp_path: Path) -> None:
    """One clear sentence, before anything is asked or served."""
    (tmp_path / "probes.toml").write_text('[instances.a]\nurl = "http://127.0.0.1:1"\n', encoding="utf-8")
    (tmp_path / "web.yml").write_text("tls_server_config: {cert_file: c.pem, key_file: k.pem}\n", encoding="utf-8")
    words = [sys.executable, "-m", "probes", "export", "--listen", "127.0.0.1:0", "--web-config", "web.yml"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (2, "probes: c.pem cannot be read: No such file or directory.\n")
