"""What is taken out of everything that is told."""

from __future__ import annotations

import html
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import tokens
from probes.config import Instance
from probes.observation import Observation, Outcome
from probes.runs import OBSERVATIONS, Run
from probes.spreadsheet import write_workbook
from probes.tokens import redact, remembered

TOKEN = "1234~abcdefghijklmnopqrstuvwxyz0123456789"
ODD = "1~aB/+c$d=E%2Fz\"q!x\\Yz&'<012"
WRITTEN: dict[str, Callable[[str], str]] = {
    "raw": str,
    "JSON": lambda token: json.dumps(token)[1:-1],
    "JSON in JSON": lambda token: json.dumps(json.dumps(token))[3:-3],
    "JSON with slashes escaped": lambda token: json.dumps(token)[1:-1].replace("/", "\\/"),
    "JSON made for a page": lambda token: json.dumps(token)[1:-1].replace("<", "\\u003c").replace("&", "\\u0026"),
    "a query": lambda token: quote(token, safe=""),
    "a path": quote,
    "a form": quote_plus,
    "a query in small letters": lambda token: quote(token, safe="").replace("%2F", "%2f").replace("%3D", "%3d"),
    "HTML": html.escape,
}


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What other tests read is unknown here, and what is read here is not taken out of what they tell."""
    before = dict(tokens._read)
    tokens._read.clear()
    yield
    tokens._read.clear()
    tokens._read.update(before)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"Bearer {TOKEN}.", "Bearer [token]."),
        (f"?access_token={TOKEN.replace('~', '%7E')}&page=2", "?access_token=[token]&page=2"),
        (f"12345678{TOKEN}", "[token]"),
        ("about 7~8 calls", "about 7~8 calls"),
    ],
)
def test_the_shape_of_a_token(text: str, shown: str) -> None:
    """Whatever has the shape of a Canvas token is replaced, also when it is percent-encoded; nothing else is."""
    assert redact(text) == shown


@pytest.mark.parametrize("way", WRITTEN)
def test_a_token_that_was_read(way: str) -> None:
    """A token that an instance gave out is taken out of text whatever its shape and however it is written."""
    assert Instance("a", "https://a.example", secret=ODD).token() == ODD
    assert redact(f"before {WRITTEN[way](ODD)} after") == "before [token] after"


def test_one_token_within_another() -> None:
    """Of a token that holds another one nothing is left."""
    remembered("inner-secret")
    remembered("outer-inner-secret-outer")
    assert redact("x outer-inner-secret-outer, inner-secret") == "x [token], [token]"


def test_a_short_token_is_left() -> None:
    """A token of fewer than eight characters would blot out ordinary words: it is left where it stands."""
    assert Instance("a", "https://a.example", secret="courses").token() == "courses"
    assert redact("GET /api/v1/courses") == "GET /api/v1/courses"


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=40))
def test_any_token(token: str) -> None:
    """Whatever characters a token has, JSON around it stays JSON without it."""
    remembered(token)
    assert token not in json.loads(redact(json.dumps({"said": f" {token} "})))["said"]


def test_observations_hold_no_token(tmp_path: Path) -> None:
    """A line that quotes a token is written without it, and can still be read."""
    instance = Instance("a", "https://a.example", secret=ODD)
    instance.token()
    run = Run.create(tmp_path, ["run"], [instance])
    run.append(Observation("a", "reach", "GET /x", "GET", "/x", 0.0, 0.0, 0.1, 401, Outcome.UNAUTHORIZED, facts={"challenge": f"no {ODD}"}))
    assert [one.facts for one in run.observations()] == [{"challenge": "no [token]"}]
    assert "Yz&" not in (run.folder / OBSERVATIONS).read_text(encoding="utf-8")


def test_workbooks_hold_no_token(tmp_path: Path) -> None:
    """A cell, a list in a cell and a column's name that quote a token are written without it."""
    remembered(ODD)
    write_workbook(tmp_path / "a.xlsx", {"One": [{f"at {ODD}": f"user {ODD}", "list": [TOKEN]}]})
    with zipfile.ZipFile(tmp_path / "a.xlsx") as book:
        sheet = ET.fromstring(book.read("xl/worksheets/sheet1.xml"))
    assert [cell.text for cell in sheet.iter() if cell.tag.endswith("}t")] == ["at [token]", "list", "user [token]", '["[token]"]']
