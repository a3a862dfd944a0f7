"""What the application answers: status, headers, body; and Canvas's errors in their exact words.

Sources: `lib/authentication_methods.rb` and `api_error_json` in `application_controller.rb` of instructure/canvas-lms.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

JSON = "application/json; charset=utf-8"
HTML = "text/html; charset=utf-8"
TEXT = "text/plain; charset=utf-8"
CHALLENGE = 'Bearer realm="canvas-lms"'


@dataclass(slots=True)
class Reply:
    """One answer on its way; header names in lower case."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


class StopError(Exception):
    """Ends a handler early with a reply."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


def as_json(document: Any, status: int = 200, **headers: str) -> Reply:
    """A JSON answer; `headers` with _ for -."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, orjson.dumps(document), {"content-type": JSON, **named})


def invalid_token() -> Reply:
    """The token is unknown."""
    return as_json({"errors": [{"message": "Invalid access token."}]}, 401, www_authenticate=CHALLENGE)


def unauthenticated() -> Reply:
    """No credentials came."""
    return as_json({"status": "unauthenticated", "errors": [{"message": "user authorization required"}]}, 401, www_authenticate=CHALLENGE)


def unpermitted(status: int) -> Reply:
    """The user may not; 401, or 403 where the site has the newer error codes."""
    return as_json({"status": "unauthorized", "errors": [{"message": "user not authorized to perform that action"}]}, status)


def missing() -> Reply:
    """The route exists, the record does not."""
    return as_json({"errors": [{"message": "The specified resource does not exist."}]}, 404)


def bad_request(message: str) -> Reply:
    """A parameter is missing or wrong."""
    return as_json({"message": message}, 400)


def unrouted() -> Reply:
    """No such route, `/api/v2` for one: a page for people, even below /api."""
    return _page(404, "Page Not Found", "Page Not Found")


def internal_error() -> Reply:
    """The application failed."""
    error = {"message": "An error occurred.", "error_code": "internal_server_error"}
    return as_json({"errors": [error], "error_report_id": 4711}, 500)


def refusal(status: int) -> Reply:
    """The throttle's own answer: 429 on hosted Canvas since October 2025, 403 before."""
    words = "429 Too Many Requests" if status == 429 else "403 Forbidden"
    return Reply(status, f"{words} (Rate Limit Exceeded)\n".encode(), {"content-type": TEXT})


def no_user_agent() -> Reply:
    """The edge refuses requests without a User-Agent."""
    return as_json({"error": "Forbidden", "message": "Your request was denied because it has no valid User-Agent header."}, 403)


def maintenance() -> Reply:
    """The load balancer's page during maintenance."""
    return _page(503, "Scheduled Maintenance", "Canvas is down for maintenance")


def edge_error(status: int) -> Reply:
    """The load balancer has no answer from the application (502, 504)."""
    return _page(status, f"{status} Gateway", "The server did not answer")


def web_page() -> Reply:
    """A login page where JSON was asked for."""
    return _page(200, "Log In to Canvas", "Log in")


def _page(status: int, title: str, words: str) -> Reply:
    text = f"<!DOCTYPE html><html><head><title>{title}</title></head><body><h1>{words}</h1></body></html>"
    return Reply(status, text.encode(), {"content-type": HTML})
