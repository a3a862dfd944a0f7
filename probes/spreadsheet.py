"""Tables as an Excel workbook: typed cells, a frozen header with a filter, and text that stays text whatever it begins with."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from probes.errors import ProbesError
from probes.system import replace
from probes.tokens import redact

MOST_ROWS = 1_048_575
"""Rows that a sheet holds below its header."""
LONGEST_TEXT = 32_767
GREATEST_WHOLE = 10**15
"""Excel keeps 15 digits: longer whole numbers (ids across shards) are written as text so that none is lost."""
WIDEST = 60

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)")
_ILLEGAL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")

Rows = Sequence[Mapping[str, Any]]


def write_workbook(path: Path, sheets: Mapping[str, Rows], made_at: datetime | None = None) -> None:
    """Writes one sheet for each entry: name -> rows, each a mapping column -> value; columns in the order in which they first appear.

    Numbers, truth values and instants (ISO 8601 text with a zone, written as UTC) become cells of their type, None an empty cell, lists and
    tables JSON text. Nothing is ever a formula or a link. The file appears whole or not at all. `made_at` (now by default) is when the
    workbook says it was made: the same rows then give the same bytes.
    Raises ProbesError when it cannot be written.
    """
    import xlsxwriter  # type: ignore[import-untyped] # it has none
    from xlsxwriter.exceptions import XlsxWriterException  # type: ignore[import-untyped]

    draft = path.with_name(f".{path.name}.draft")
    options = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False, "constant_memory": True}
    try:
        if not path.parent.is_dir():
            raise FileNotFoundError(2, "there is no such folder")
        book = xlsxwriter.Workbook(str(draft), {**options, "default_date_format": "yyyy-mm-dd hh:mm:ss"})
        book.set_properties({"created": made_at} if made_at else {})
        names = _sheet_names(sheets)
        for (name, rows), title in zip(sheets.items(), names, strict=True):
            _write_sheet(book, title, rows, name)
        book.close()
        replace(draft, path)
    except (OSError, XlsxWriterException) as error:
        draft.unlink(missing_ok=True)
        # xlsxwriter hides the system's error in its own
        cause = error.__context__ if isinstance(error.__context__, OSError) else error
        reason = cause.strerror if isinstance(cause, OSError) and cause.strerror else error
        raise ProbesError(f"{path} cannot be written: {reason}.") from None


def _write_sheet(book: Any, title: str, rows: Rows, name: str) -> None:
    if len(rows) > MOST_ROWS:
        raise ProbesError(f"Sheet '{name}' would have {len(rows)} rows, more than the {MOST_ROWS} that Excel holds: take CSV or JSON.")
    sheet = book.add_worksheet(title)
    columns = list(dict.fromkeys(str(column) for row in rows for column in row))
    bold = book.add_format({"bold": True, "bottom": 1})
    for index, column in enumerate(columns):
        sheet.write_string(0, index, _text(column), bold)
        sheet.set_column(index, index, _width(column, rows))
    sheet.freeze_panes(1, 0)
    if columns:
        sheet.autofilter(0, 0, max(len(rows), 1), len(columns) - 1)
    instant = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
    for number, row in enumerate(rows, 1):
        for index, column in enumerate(columns):
            _write_cell(sheet, number, index, row.get(column), instant)


def _write_cell(sheet: Any, row: int, column: int, value: Any, instant: Any) -> None:
    """One cell of the type that `value` has."""
    if value is None:
        return
    moment = _moment(value)
    if moment is not None:
        sheet.write_datetime(row, column, moment, instant)
    elif isinstance(value, bool):
        sheet.write_boolean(row, column, value)
    elif isinstance(value, int | float):
        if math.isfinite(value):
            _write_number(sheet, row, column, value)
    else:
        sheet.write_string(row, column, _text(value))


def _write_number(sheet: Any, row: int, column: int, value: float) -> None:
    if isinstance(value, int) and abs(value) >= GREATEST_WHOLE:
        sheet.write_string(row, column, str(value))
    else:
        sheet.write_number(row, column, value)


def _moment(value: Any) -> datetime | None:
    """An instant as Excel keeps it: UTC without a zone; None when `value` is none or lies before 1900."""
    if isinstance(value, str) and _INSTANT.fullmatch(value):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    plain = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    return plain if plain.year >= 1901 else None


def _text(value: Any) -> str:
    """`value` as cell text: no token, no control characters, not longer than a cell holds."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    clean = _ILLEGAL.sub("\ufffd", redact(text))
    return clean if len(clean) <= LONGEST_TEXT else clean[: LONGEST_TEXT - 1] + "…"


def _width(column: str, rows: Rows) -> float:
    longest = max((len(str(row.get(column, ""))) for row in rows[:500]), default=0)
    return min(WIDEST, max(len(column) + 3, longest + 1))


def _sheet_names(names: Iterable[str]) -> list[str]:
    r"""Names as Excel takes them: at most 31 characters, none of []:*?/\, told apart without regard to case."""
    taken: set[str] = set()
    result = []
    for name in names:
        base = re.sub(r"[\[\]:*?/\\\x00-\x1f]", " ", name).strip().strip("'")[:31] or "Sheet"
        base = f"{base} " if base.lower() == "history" else base
        title, number = base, 1
        while title.lower() in taken:
            number += 1
            tail = f" ({number})"
            title = base[: 31 - len(tail)] + tail
        taken.add(title.lower())
        result.append(title)
    return result
