"""Workbooks: cells of the right type, text that stays text, names and sizes that Excel takes."""

from __future__ import annotations

import math
import re
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from probes.errors import ProbesError
from probes.spreadsheet import MOST_ROWS, write_workbook

NS = {"s": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}


def part(path: Path, name: str) -> ET.Element:
    with zipfile.ZipFile(path) as archive:
        return ET.fromstring(archive.read(name))


def cells(path: Path, sheet: int = 1) -> dict[str, tuple[str, Any]]:
    """Cell -> (type, value) of a sheet."""
    found: dict[str, tuple[str, Any]] = {}
    for cell in part(path, f"xl/worksheets/sheet{sheet}.xml").iter(f"{{{NS['s']}}}c"):
        kind = cell.get("t", "n")
        assert cell.find("s:f", NS) is None, "a formula"
        text = cell.find("s:is/s:t", NS) if kind == "inlineStr" else cell.find("s:v", NS)
        found[str(cell.get("r"))] = (kind, "" if text is None else text.text)
    return found


def test_cells_have_their_types(tmp_path: Path) -> None:
    """Text, whole numbers, fractions, truth values and instants are cells of their type; None and nan are empty."""
    path = tmp_path / "a.xlsx"
    row = {"text": "a", "whole": 3, "part": 0.5, "yes": True, "none": None, "nan": math.nan, "at": "2026-11-25T04:00:00Z", "list": [1, "ü"]}
    write_workbook(path, {"One": [row]})
    found = cells(path)
    assert [found[f"{column}1"][1] for column in "ABCDEFGH"] == list(row)
    assert found["A2"] == ("inlineStr", "a")
    assert found["B2"] == ("n", "3")
    assert found["C2"] == ("n", "0.5")
    assert found["D2"] == ("b", "1")
    assert "E2" not in found
    assert "F2" not in found
    assert float(found["G2"][1]) == pytest.approx(46351.1666667)
    assert found["H2"] == ("inlineStr", '[1, "ü"]')


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        '=HYPERLINK("http://evil.example")',
        "+46 70 123",
        "-1",
        "@SUM(1)",
        "\t=1",
        "http://a.example",
        "mailto:a@b",
        "{=1}",
        "00123",
        "1e5",
        "TRUE",
        "",
    ],
)
def test_text_stays_text(text: str, tmp_path: Path) -> None:
    """Whatever text begins with, it is neither formula nor link nor number."""
    path = tmp_path / "a.xlsx"
    write_workbook(path, {"One": [{text or "empty": text}]})
    found = cells(path)
    assert found["A1"] == ("inlineStr", text or "empty")
    assert found.get("A2", ("inlineStr", "")) == ("inlineStr", text or None) or text == ""
    with zipfile.ZipFile(path) as archive:
        assert not [name for name in archive.namelist() if "rels" in name and "sheet" in name]


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (10**15, ("inlineStr", "1000000000000000")),
        (10000000000000123456, ("inlineStr", "10000000000000123456")),
        (10**15 - 1, ("n", "999999999999999")),
        (math.inf, None),
        ("a\x00b\x1fc", ("inlineStr", "a\ufffdb\ufffdc")),
        ("2026-13-45T99:99:99Z", ("inlineStr", "2026-13-45T99:99:99Z")),
        ("1888-01-01T00:00:00Z", ("inlineStr", "1888-01-01T00:00:00Z")),
        (datetime(2026, 11, 25, 4, tzinfo=UTC), ("n", "46351.16666666666")),
    ],
)
def test_values_that_excel_would_spoil(value: Any, cell: tuple[str, str] | None, tmp_path: Path) -> None:
    """Long ids keep all digits, control characters go, dates that are none stay text."""
    path = tmp_path / "a.xlsx"
    write_workbook(path, {"One": [{"x": value}]})
    assert cells(path).get("A2") == cell


def test_long_text_is_cut(tmp_path: Path) -> None:
    """A cell holds 32,767 characters; longer text ends with an ellipsis."""
    path = tmp_path / "a.xlsx"
    write_workbook(path, {"One": [{"x": "y" * 40_000}]})
    text = cells(path)["A2"][1]
    assert (len(text), text[-2:]) == (32_767, "y…")


def test_header_is_frozen_and_filtered(tmp_path: Path) -> None:
    """The first row stays in sight and filters its columns; columns are those of all rows, in order of first appearance."""
    path = tmp_path / "a.xlsx"
    write_workbook(path, {"One": [{"b": 1}, {"a": 2, "b": 3}]})
    sheet = part(path, "xl/worksheets/sheet1.xml")
    pane = sheet.find(".//s:pane", NS)
    assert pane is not None
    assert (pane.get("ySplit"), pane.get("state")) == ("1", "frozen")
    filtered = sheet.find("s:autoFilter", NS)
    assert filtered is not None
    assert filtered.get("ref") == "A1:B3"
    assert {name: value for name, (_, value) in cells(path).items()} == {"A1": "b", "B1": "a", "A2": "1", "A3": "3", "B3": "2"}


def test_sheet_names_that_excel_takes(tmp_path: Path) -> None:
    """Forbidden characters go, names are cut to 31 characters and kept apart; an empty sheet is a sheet."""
    path = tmp_path / "a.xlsx"
    names = ["a[b]:c", "x" * 40, "X" * 40, "", "History", "'q'"]
    write_workbook(path, {name: [] for name in names})
    found = [sheet.get("name") for sheet in part(path, "xl/workbook.xml").iter(f"{{{NS['s']}}}sheet")]
    assert found == ["a b  c", "x" * 31, "X" * 27 + " (2)", "Sheet", "History ", "q"]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    """A folder that is missing and a path that is a folder raise ProbesError, and nothing is left behind."""
    with pytest.raises(ProbesError, match=rf"^{re.escape(str(tmp_path))}/no/a\.xlsx cannot be written: there is no such folder\.$"):
        write_workbook(tmp_path / "no" / "a.xlsx", {"One": []})
    with pytest.raises(ProbesError, match=r"cannot be written: Is a directory\.$"):
        write_workbook(tmp_path, {"One": []})
    assert list(tmp_path.iterdir()) == []


def test_too_many_rows(tmp_path: Path) -> None:
    """More rows than a sheet holds raise ProbesError, and the old file stays."""

    class Many(list[dict[str, int]]):
        def __len__(self) -> int:
            return MOST_ROWS + 1

    path = tmp_path / "a.xlsx"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(
        ProbesError, match=r"^Sheet 'One' would have 1048576 rows, more than the 1048575 that Excel holds: take CSV or JSON\.$"
    ):
        write_workbook(path, {"One": Many()})
    assert [one.name for one in tmp_path.iterdir()] == ["a.xlsx"]
    assert path.read_text(encoding="utf-8") == "old"
