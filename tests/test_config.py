from __future__ import annotations

from pathlib import Path

import pytest

from probes.config import (
    TOKEN_VARIABLES,
    URL_VARIABLES,
    Config,
    Instance,
    Kind,
    guessed_kind,
    load,
    normalised_url,
)
from probes.errors import ConfigError, ExitCode

TOKEN = "1234~abcdefghijklmnopqrstuvwxyz0123456789"
NO_TABLE = "FILE names no instance: add a table [instances.NAME] with a url."
NO_NAME = "no name for an instance: it must not be empty nor hold /, .., control characters or blanks around it."
NO_SECRETS = "FILE: instances.beta.url must hold no credentials and no query."
KNOWN = "allow_load, allow_writes, dialect, kind, max_in_flight, max_rate, max_requests, timeout_s, token_env, token_file, url"

MISTAKES = {
    "allow-load-as-text": "FILE: instances.beta.allow_load must be true or false.",
    "empty": NO_TABLE,
    "in-flight-boolean": "FILE: instances.beta.max_in_flight must be a whole number.",
    "in-flight-fraction": "FILE: instances.beta.max_in_flight must be a whole number.",
    "instance-not-a-table": "FILE: instances.beta must be a table: write [instances.beta].",
    "instances-not-a-table": NO_TABLE,
    "kind-unknown": "FILE: instances.beta.kind is 'staging': use one of production, test, beta, sandbox, simulated.",
    "name-empty": f"FILE: '' is {NO_NAME}",
    "name-of-the-folder-above": f"FILE: '..' is {NO_NAME}",
    "name-with-a-line": f"FILE: 'a\\nb' is {NO_NAME}",
    "name-with-blanks": f"FILE: ' beta' is {NO_NAME}",
    "name-with-slash": f"FILE: 'a/b' is {NO_NAME}",
    "no-instances": NO_TABLE,
    "no-url": "FILE: instances.beta has no url.",
    "not-toml": "FILE is not valid TOML: Expected ']' at the end of a table declaration (at line 1, column 16).",
    "not-utf8": "FILE is not UTF-8 text.",
    "rate-as-text": "FILE: instances.beta.max_rate must be a number.",
    "rate-nan": "FILE: instances.beta.max_rate must be above 0.",
    "rate-zero": "FILE: instances.beta.max_rate must be above 0.",
    "timeout-negative": "FILE: instances.beta.timeout_s must be above 0.",
    "token-as-variable": "FILE: instances.beta.token_env must be the name of an environment variable, never the token itself.",
    "token-file-of-nobody": "FILE: instances.beta.token_file begins with ~, but no home folder is known: write the whole path.",
    "token-written": "FILE: instances.beta.token must not be in this file: name it by token_env or token_file.",
    "two-token-places": "FILE: instances.beta names token_env and token_file: keep one.",
    "unknown-dialect": "FILE: instances.beta.dialect is 'canvs': did you mean canvas?",
    "unknown-dialect-like-none": "FILE: instances.beta.dialect is 'xyz': known are blackboard, brightspace, canvas, github, gitlab, ietf.",
    "unknown-key": "FILE: unknown key instances.beta.max_inflight: did you mean max_in_flight?",
    "unknown-key-like-none": f"FILE: unknown key instances.beta.colour: known are {KNOWN}.",
    "unknown-section": "FILE: unknown key instance: did you mean instances?",
    "url-bad-port": "FILE: instances.beta.url is not a URL: 'https://school.beta.instructure.com:port'.",
    "url-credentials": NO_SECRETS,
    "url-empty": "FILE: instances.beta.url is not a URL: ''.",
    "url-http": "FILE: instances.beta.url must be https://: http:// is for loopback only.",
    "url-not-text": "FILE: instances.beta.url must be text in quotes.",
    "url-other-scheme": "FILE: instances.beta.url is not a URL: 'ftp://school.beta.instructure.com'.",
    "url-path": "FILE: instances.beta.url must be an origin such as https://school.instructure.com, without the path '/courses/1'.",
    "url-port-0": "FILE: instances.beta.url is not a URL: 'https://school.beta.instructure.com:0'.",
    "url-query": NO_SECRETS,
    "url-with-blank": "FILE: instances.beta.url is not a URL: 'https://school beta'.",
}


def message(path: Path | None = None, environment: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path, environment)
    assert caught.value.exit_code is ExitCode.USAGE
    return str(caught.value)


@pytest.mark.parametrize("mistake", sorted(MISTAKES))
def test_each_mistake_has_its_sentence(mistake: str, data: Path) -> None:
    """A broken file is one sentence that names the file, the place and what to do, and never shows a token."""
    path = data / "config" / f"{mistake}.toml"
    assert message(path).replace(str(path), "FILE") == MISTAKES[mistake]


def test_each_broken_file_has_its_mistake(data: Path) -> None:
    """Every file in the folder but the whole one stands in the table of mistakes."""
    assert {path.stem for path in (data / "config").glob("*.toml")} == {*MISTAKES, "whole"}


def test_a_whole_file(data: Path) -> None:
    """Every key arrives; a bare host gets https, /api/v1 goes, the kind is guessed, a token file lies beside the configuration."""
    path = data / "config" / "whole.toml"
    assert load(path) == Config(
        {
            "beta": Instance(
                "beta",
                "https://school.beta.instructure.com",
                Kind.BETA,
                token_env="CANVAS_BETA_TOKEN",
                max_rate=20,
                max_in_flight=12,
                max_requests=500,
                allow_load=True,
                allow_writes=True,
                timeout_s=30.5,
            ),
            "local": Instance(
                "local", "http://127.0.0.1:8000", Kind.SANDBOX, "github", token_file=path.parent / "secret" / "token", max_rate=0.5
            ),
            "school": Instance("school", "https://school.instructure.com", Kind.PRODUCTION),
        },
        str(path),
    )


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    """A file that an editor began with a byte order mark is read."""
    path = tmp_path / "probes.toml"
    path.write_text('\ufeff[instances.a]\nurl = "a.example"\n', encoding="utf-8")
    assert load(path).instances["a"].url == "https://a.example"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be-sig"])
def test_files_as_shells_write_them(encoding: str, tmp_path: Path) -> None:
    """A configuration and a token are read from UTF-8 and, where a byte order mark says so, from UTF-16, as PowerShell 5 writes it."""
    text = '[instances.a]\r\nurl = "a.example"\r\ntoken_file = "token"\r\n'
    for name, content in {"probes.toml": text, "token": f"{TOKEN}\r\n"}.items():
        known = f"\ufeff{content}".encode("utf-16-be") if encoding == "utf-16-be-sig" else content.encode(encoding)
        (tmp_path / name).write_bytes(known)
    instance = load(tmp_path / "probes.toml").instances["a"]
    assert (instance.url, instance.token()) == ("https://a.example", TOKEN)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A file named by --config must exist; a folder in its place is said to be one."""
    assert message(tmp_path / "no.toml") == f"{tmp_path / 'no.toml'} cannot be read: No such file or directory."
    assert message(tmp_path) == f"{tmp_path} cannot be read: Is a directory."


def test_where_it_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory goes before the user's folder, and both before the environment."""
    here, user = tmp_path / "here", tmp_path / "user"
    here.mkdir()
    (user / "canvas-probes").mkdir(parents=True)
    monkeypatch.chdir(here)
    monkeypatch.setattr("platformdirs.user_config_dir", lambda name: str(user / name))
    environment = {"CANVAS_API_URL": "env.example"}
    assert load(None, environment).source == "the environment (CANVAS_API_URL, no token)"
    (user / "canvas-probes" / "probes.toml").write_text('[instances.user]\nurl = "user.example"\n', encoding="utf-8")
    assert list(load(None, environment).instances) == ["user"]
    (here / "probes.toml").write_text('[instances.here]\nurl = "here.example"\n', encoding="utf-8")
    assert list(load(None, environment).instances) == ["here"]
    assert load().source == "probes.toml"


@pytest.mark.parametrize("variable", URL_VARIABLES)
@pytest.mark.parametrize("token", TOKEN_VARIABLES)
def test_the_environment_makes_one_instance(variable: str, token: str) -> None:
    """With no file, any of the usual variables makes the instance `default`; its token stays where it is."""
    config = load(None, {variable: "https://school.test.instructure.com/api/v1/", token: TOKEN})
    expected = Instance("default", "https://school.test.instructure.com", Kind.TEST, token_env=token)
    assert config == Config({"default": expected}, f"the environment ({variable}, {token})")
    assert TOKEN not in repr(config)


def test_no_configuration_at_all() -> None:
    """With no file and no variable the sentence says what to write and what works without."""
    assert message(None, {}) == (
        "No configuration: there is no probes.toml here and CANVAS_API_URL is not set; write one, or try 'probes demo' first."
    )
    assert message(None, {"CANVAS_API_URL": "http://school.example"}) == "CANVAS_API_URL must be https://: http:// is for loopback only."


def test_pick() -> None:
    """No name picks all, names pick in their order, an unknown name is told with the known ones."""
    a, b = Instance("a", "https://a.example"), Instance("b", "https://b.example")
    config = Config({"a": a, "b": b}, "probes.toml")
    assert config.pick([]) == [a, b]
    assert config.pick(["b", "a"]) == [b, a]
    accented = Instance("é", "https://é.example")
    assert Config(instances={"é": accented}, source="x").pick(["\udcc3\udca9"]) == [accented]
    with pytest.raises(ConfigError, match=r"^There is no instance 'c' in probes\.toml: it names a, b\.$"):
        config.pick(["a", "c"])


def test_token_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The token is read when it is asked for, blanks around it left out; a missing one is told by its variable."""
    instance = Instance("beta", "https://b.example", token_env="CANVAS_BETA_TOKEN")
    with pytest.raises(ConfigError, match=r"^Instance 'beta' takes its token from CANVAS_BETA_TOKEN, which is not set: export it first\.$"):
        instance.token()
    monkeypatch.setenv("CANVAS_BETA_TOKEN", f" {TOKEN}\n")
    assert instance.token() == TOKEN


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read: No such file or directory."),
        (b"\xff", "cannot be read: not text."),
        (b" \n", "is empty."),
    ],
)
def test_token_file_that_holds_none(content: bytes | None, says: str, tmp_path: Path) -> None:
    """A token file that is missing, binary or empty is told by its path."""
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        Instance("beta", "https://b.example", token_file=path).token()
    joint = ", which " if says.startswith(("cannot", "is")) else ""
    assert str(caught.value) == f"Instance 'beta' takes its token from {path}{joint}{says}"


@pytest.mark.parametrize("odd", [" ", "\t", "\x07", "\x7f", "é", "\u200b"])
def test_a_token_with_odd_characters(odd: str, tmp_path: Path) -> None:
    """Blanks, control characters and what is not ASCII are no part of any token: it is refused without being shown."""
    path = tmp_path / "token"
    path.write_text(f"abc{odd}def", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        Instance("beta", "https://b.example", token_file=path).token()
    assert str(caught.value) == f"The token of instance 'beta' in {path} holds blanks or odd characters: copy it again."


def test_token_file(tmp_path: Path) -> None:
    """The last line's end and a byte order mark are no part of the token; a token of two lines is refused without being shown."""
    path = tmp_path / "token"
    instance = Instance("beta", "https://b.example", token_file=path)
    path.write_text(TOKEN + "\n", encoding="utf-8-sig")
    assert instance.token() == TOKEN
    path.write_text(f"{TOKEN}\n{TOKEN}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        instance.token()
    assert str(caught.value) == f"The token of instance 'beta' in {path} holds blanks or odd characters: copy it again."


def test_token_of_an_instance_without() -> None:
    """An instance that names no place has no token; one made in memory carries its own, and does not show it."""
    assert Instance("a", "https://a.example").token() is None
    simulated = Instance("a", "https://a.example", secret=TOKEN)
    assert simulated.token() == TOKEN
    assert TOKEN not in repr(simulated)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("https://school.instructure.com", Kind.PRODUCTION),
        ("https://school.beta.instructure.com", Kind.BETA),
        ("https://School.TEST.instructure.com", Kind.TEST),
        ("https://school-sandbox.instructure.com", Kind.SANDBOX),
        ("https://beta-academy.instructure.com", Kind.PRODUCTION),
        ("https://contest.example", Kind.PRODUCTION),
        ("http://127.0.0.1:80", Kind.SIMULATED),
        ("http://localhost", Kind.SIMULATED),
        ("http://[::1]:9000", Kind.SIMULATED),
        ("https://127.0.0.1.example", Kind.PRODUCTION),
    ],
)
def test_guessed_kind(url: str, kind: Kind) -> None:
    """Whole labels of the host name tell the kind; a host that only sounds like a test instance is production."""
    assert guessed_kind(url) is kind


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("school.instructure.com", "https://school.instructure.com"),
        ("https://School.Instructure.com/", "https://school.instructure.com"),
        ("https://school.instructure.com/api", "https://school.instructure.com"),
        ("https://school.instructure.com:8443/api/v1/", "https://school.instructure.com:8443"),
        ("http://[::1]:9000/api/v1", "http://[::1]:9000"),
        ("localhost:3000", "https://localhost:3000"),
    ],
)
def test_normalised_url(text: str, origin: str) -> None:
    """What people paste becomes an origin."""
    assert normalised_url(text, "url") == origin


@pytest.mark.parametrize("text", ["https://school.instructure.com\\@evil.example", "https://@evil.example"])
def test_credentials_in_disguise(text: str) -> None:
    """A URL whose host is not what it seems is refused."""
    with pytest.raises(ConfigError, match=r"^url must hold no credentials and no query\.$"):
        normalised_url(text, "url")
