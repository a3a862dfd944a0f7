"""What a script reads when a command is interrupted, or its run folder takes no more: one whole document all the same."""

from __future__ import annotations

import itertools
import json
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from commanded import Ended, command, configured
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

SCHEMAS = Path(__file__).parent.parent / "probes" / "schemas"
AFTER = 5
COMMANDS: dict[str, tuple[str, ...]] = {
    "diagnosis-1": ("diagnose", "-i", "test"),
    "compare-1": ("compare", "-i", "test", "-i", "other", "--repeat", "12"),
    "report-1": ("run", "latency", "-i", "test"),
    "fetch-1": ("fetch", "/api/v1/courses?per_page=1", "-i", "test", "--all"),
    "roster-1": ("roster", "--course", "1", "-i", "test"),
}
"""Commands by the schema of what they tell."""


def serving(place: Path, monkeypatch: pytest.MonkeyPatch, server: HTTPServer, at_answer: Callable[[int], None]) -> None:
    """Two instances at one server that answers any call with a page of one item and a next one; `at_answer` is told each number."""
    numbers = itertools.count(1)

    def answer(request: Request) -> Response:
        number = next(numbers)
        at_answer(number)
        body = {"id": number} if request.path.endswith("/1") else [{"id": number}]
        link = f'<{server.url_for(request.path)}?page={number}>; rel="next"'
        return Response(json.dumps(body), content_type="application/json", headers={"Link": link})

    server.expect_request("/health_check.json").respond_with_json({"status": "canvas ok"})
    for path in ("/api/v1/users/self", "/api/v1/courses", "/api/v1/courses/1", "/api/v1/courses/1/sections"):
        server.expect_request(path).respond_with_handler(answer)
    url = server.url_for("").rstrip("/")
    configured(place, monkeypatch, test={"url": url, "token": "t"}, other={"url": url.replace("127.0.0.1", "localhost"), "token": "t"})


def checked(ended: Ended, schema: str) -> Any:
    """The document, which keeps its schema."""
    jsonschema.validate(ended.document, json.loads((SCHEMAS / f"{schema}.json").read_text(encoding="utf-8")))
    return ended.document


@pytest.mark.parametrize("schema", COMMANDS)
def test_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer, schema: str) -> None:
    """With --json an interrupt ends the asking only: one document of what was seen, exit 130, the run marked and its calls kept."""

    def interrupt(number: int) -> None:
        if number == AFTER:
            os.kill(os.getpid(), signal.SIGINT)

    serving(tmp_path, monkeypatch, httpserver, interrupt)
    ended = command(tmp_path, *COMMANDS[schema], "--json", "--quiet")
    assert (ended.code, ended.err) == (130, "")
    checked(ended, schema)
    assert ended.run.manifest["ended"] == "interrupted"
    assert len(ended.lines()) >= AFTER - 1


def test_a_person_who_interrupts_a_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer) -> None:
    """What came is kept, and the command that reads the rest is named."""

    def interrupt(number: int) -> None:
        if number == AFTER:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.2)  # until then nothing may wait for this answer any more

    serving(tmp_path, monkeypatch, httpserver, interrupt)
    ended = command(tmp_path, *COMMANDS["fetch-1"])
    assert (ended.code, ended.out) == (130, "".join(f'{{"id": {n}}}\n' for n in range(1, AFTER)))
    config, folder = tmp_path / "probes.toml", ended.run.folder
    assert ended.err == (
        f"4 items from 4 pages.\nGo on with: probes fetch '/api/v1/courses?page=4' -i test --config {config} --all\n"
        f"Interrupted. What was measured is kept in {folder}: probes report {folder}\n"
    )
    told = {name: ended.run.manifest["fetched"][name] for name in ("ended", "note", "count", "next")}
    assert told == {"ended": "interrupted", "note": "Interrupted before all was asked.", "count": 4, "next": "/api/v1/courses?page=4"}


def test_an_explanation_that_is_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer) -> None:
    """With --json what is right is told all the same, without an answer."""
    serving(tmp_path, monkeypatch, httpserver, lambda _: os.kill(os.getpid(), signal.SIGINT))
    ended = command(tmp_path, "explain", "/courses", "-i", "test", "--json", "--quiet")
    assert (ended.code, ended.err) == (130, "")
    assert checked(ended, "explain-1")["answer"] is None
    assert ended.run.manifest["ended"] == "interrupted"


@pytest.mark.parametrize("schema", COMMANDS)
def test_a_folder_that_takes_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer, schema: str) -> None:
    """Where observations cannot be written any more the asking ends: what was seen is told, then the reason, exit 1."""
    with full_at(3000):
        serving(tmp_path, monkeypatch, httpserver, lambda _: None)
        ended = command(tmp_path, *COMMANDS[schema], "--json", "--quiet")
    assert ended.code == 1
    assert ended.err == f"probes: {ended.run.folder / 'observations.jsonl'} cannot be written: File too large.\n"
    checked(ended, schema)


def test_what_a_person_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer) -> None:
    """A diagnosis that was not finished calls nothing well: it says what ended it."""
    with full_at(3000):
        serving(tmp_path, monkeypatch, httpserver, lambda _: None)
        ended = command(tmp_path, "diagnose", "-i", "test", "--quiet")
    first, second = ended.out.splitlines()[:2]
    assert first == f"test: no cause found by {len(ended.lines())} observations."
    assert second == f"    {ended.run.folder / 'observations.jsonl'} cannot be written: File too large."


@contextmanager
def full_at(size: int) -> Iterator[None]:
    """No file grows beyond `size` bytes, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
