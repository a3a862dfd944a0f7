from __future__ import annotations

from typing import Any

import httpx
import pytest
from simulated import Simulated, answer, answers, simulated

from probes.simulator.settings import SimulatorSettings

SELF = "/api/v1/users/self"
CHALLENGE = 'Bearer realm="canvas-lms"'


def asked(path: str, settings: SimulatorSettings | None = None, method: str = "GET", **headers: str) -> httpx.Response:
    """The answer to a request with these headers only; an empty one is left out."""

    async def talk(simulator: Simulated) -> httpx.Response:
        simulator.client.headers.pop("authorization")
        request = simulator.client.build_request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
        for name, value in headers.items():
            if not value:
                del request.headers[name.replace("_", "-")]
        return await simulator.client.send(request)

    return simulated(talk, settings)


def test_no_credentials() -> None:
    """Without credentials: 401 unauthenticated with a challenge, which costs the address's bucket."""
    told = asked(SELF)
    assert (told.status_code, told.headers["www-authenticate"]) == (401, CHALLENGE)
    assert told.json() == {"status": "unauthenticated", "errors": [{"message": "user authorization required"}]}
    assert "x-request-cost" in told.headers


@pytest.mark.parametrize("credentials", ["Bearer nobody", "bearer simulator-token", "Basic eDp5"])
def test_wrong_credentials(credentials: str) -> None:
    """A wrong token, and a scheme in lower case, do not open."""
    told = asked(SELF, authorization=credentials)
    assert (told.status_code, told.headers["www-authenticate"]) == (401, CHALLENGE)
    wrong = credentials == "Bearer nobody"
    assert told.json()["errors"][0]["message"] == ("Invalid access token." if wrong else "user authorization required")


def test_token_in_the_query() -> None:
    """A token in the query opens as well."""
    assert asked(f"{SELF}?access_token=simulator-token").status_code == 200


@pytest.mark.parametrize("status", [401, 403])
def test_no_permission(status: int) -> None:
    """No permission is 401, or 403 by the feature flag, without a challenge and with cost headers."""
    settings = SimulatorSettings(denied=("/api/v1/accounts",), permission_status=status)
    for path in ("/api/v1/accounts/self", "/api/v1/courses/901", "/api/v1/sections/9011"):
        told = answer(path, settings)
        assert told.status_code == status
        assert told.json() == {"status": "unauthorized", "errors": [{"message": "user not authorized to perform that action"}]}
        assert "www-authenticate" not in told.headers
        assert "x-request-cost" in told.headers


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/courses/999",
        "/api/v1/courses/abc",
        "/api/v1/users/99999",
        "/api/v1/progress/99",
        "/api/v1/courses/" + "9" * 5000,
        "/api/v1/users/²",
    ],
)
def test_missing_record_is_json(path: str) -> None:
    """A missing record is a JSON 404 with cost headers."""
    told = answer(path)
    assert (told.status_code, told.json()) == (404, {"errors": [{"message": "The specified resource does not exist."}]})
    assert "x-request-cost" in told.headers


@pytest.mark.parametrize("path", ["/api/v2/courses", "/api/v1/nonsense", "/", "/api/v1/courses/1/nothing/here"])
def test_unknown_route_is_a_page(path: str) -> None:
    """An unknown route is an HTML 404 that reached Canvas."""
    told = answer(path)
    assert (told.status_code, told.text[:15]) == (404, "<!DOCTYPE html>")
    assert "x-request-context-id" in told.headers
    assert "x-canvas-user-id" not in told.headers


def test_wrong_method_is_a_page() -> None:
    """A method that a path does not have is an unknown route too."""
    assert asked(SELF, method="DELETE", authorization="Bearer simulator-token").status_code == 404


@pytest.mark.parametrize("agent", ["", " "])
def test_no_user_agent(agent: str) -> None:
    """Without a User-Agent the edge answers 403, without a request id and without touching a bucket; it can be switched off."""
    told = asked(SELF, authorization="Bearer simulator-token", user_agent=agent)
    assert told.status_code == 403
    assert "User-Agent" in told.json()["message"]
    assert "x-request-context-id" not in told.headers
    assert "x-rate-limit-remaining" not in told.headers
    off = SimulatorSettings(require_user_agent=False)
    assert asked(SELF, off, authorization="Bearer simulator-token", user_agent="").status_code == 200


def test_maintenance() -> None:
    """During maintenance everything is 503 with the load balancer's page, which never reached Canvas."""
    told = answer(SELF, SimulatorSettings(maintenance=True))
    assert (told.status_code, told.headers["content-type"]) == (503, "text/html; charset=utf-8")
    assert "x-request-context-id" not in told.headers


def test_masquerade() -> None:
    """as_user_id acts as another user in the same bucket; an unknown one is 401 without a challenge."""
    masked, unknown, nonsense = answers(f"{SELF}?as_user_id=5", f"{SELF}?as_user_id=99999", f"{SELF}?as_user_id=²")
    assert (masked.json()["id"], masked.headers["x-canvas-user-id"]) == (5, "10000000000005")
    assert masked.headers["x-canvas-real-user-id"] == "10000000000001"
    assert [(a.status_code, a.json()) for a in (unknown, nonsense)] == [(401, {"errors": "Invalid as_user_id"})] * 2


def test_open_routes() -> None:
    """Health and readiness answer anybody, and tell the revision."""
    health, ready = asked("/health_check.json"), asked("/readiness")
    assert (health.json()["status"], health.json()["revision"]) == ("canvas ok", "2026-10-21.34")
    assert ready.json()["status"] == 200
    assert asked("/error_reports", method="POST").headers["x-request-cost"] > "200"


def test_head_has_no_body() -> None:
    """HEAD answers as GET without a body."""
    told = asked(SELF, method="HEAD", authorization="Bearer simulator-token")
    assert (told.status_code, told.content, int(told.headers["content-length"]) > 100) == (200, b"", True)


def test_custom_data_is_undone() -> None:
    """Custom data is written, read and deleted; without a name space it is 400."""

    async def talk(simulator: Simulated) -> list[Any]:
        path = f"{SELF}/custom_data/probe"
        written = await simulator.client.put(path, json={"ns": "org.example", "data": "x"})
        read = await simulator.get(f"{path}?ns=org.example")
        gone = await simulator.client.delete(f"{path}?ns=org.example")
        return [
            written.json(),
            read.json(),
            gone.json(),
            (await simulator.get(f"{path}?ns=org.example")).status_code,
            (await simulator.get(path)).status_code,
        ]

    assert simulated(talk) == [{"data": "x"}] * 3 + [400, 400]


def test_cookies_may_be_off() -> None:
    """A token call sets a session cookie, unless that is switched off."""
    assert "set-cookie" in answer(SELF).headers
    assert "set-cookie" not in answer(SELF, SimulatorSettings(cookies=False)).headers
