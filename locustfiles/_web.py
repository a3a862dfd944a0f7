"""Locust's web page: a tab of its own for quota and refusals; and Locust's statistics, fed for runs by hand, never used for results."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from flask import Response, request
from locust.env import Environment

from probes.observation import Observation

KEY = "quota"
TITLE = "Quota and refusals"
ROWS: tuple[tuple[str, str], ...] = (
    ("Remaining budget, last answer", "remaining"),
    ("Remaining budget, least", "least_remaining"),
    ("Requests", "requests"),
    ("Refused", "refused"),
    ("Late (no user free within 10 ms)", "late"),
    ("Due times handed out", "handed"),
    ("In flight", "in_flight"),
    ("p95 of the last answers, seconds from due", "p95_s"),
    ("Stopped by", "stopped_by"),
    ("Why", "why"),
)


def add_tab(environment: Environment, document: Callable[[], dict[str, Any]]) -> None:
    """Adds the tab. `document` is asked whenever the page refreshes; between runs it shows how the last one ended."""
    web: Any = environment.web_ui
    web.template_args |= {
        "extended_tabs": [{"title": TITLE, "key": KEY}],
        "extended_tables": [{"key": KEY, "structure": [{"key": "name", "title": "What"}, {"key": "value", "title": "Value"}]}],
    }
    last: dict[str, Any] = {}

    @web.app.after_request  # type: ignore[untyped-decorator]
    def extend(response: Response) -> Response:
        if request.path == "/stats/requests" and response.is_json:
            last.update(document())
            body = {**(response.get_json() or {}), "extended_stats": [{"key": KEY, "data": rows(last)}]}
            response.set_data(json.dumps(body))
        return response


def rows(document: dict[str, Any]) -> list[dict[str, str]]:
    """The tab's lines; what was not seen shows as a dash."""
    return [{"name": title, "value": _text(document.get(key))} for title, key in ROWS]


def show(environment: Environment) -> Callable[[Observation], None]:
    """Feeds an observation to Locust's statistics."""
    fire: Callable[..., None] = environment.events.request.fire

    def shown(seen: Observation) -> None:
        flight_s = seen.flight_s
        fire(
            request_type=seen.method,
            name=seen.path,
            response_time=None if flight_s is None else flight_s * 1000.0,
            response_length=seen.size_bytes or 0,
            exception=None if seen.ok else RuntimeError(seen.outcome.value),
            context={},
            response=None,
        )

    return shown


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
