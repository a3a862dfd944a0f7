"""Addresses: secrets out, origins compared."""

from __future__ import annotations

import pytest

from probes.addresses import led_to, origin, target, without_secrets


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://School.Instructure.com/api/v1?x=1", "https://school.instructure.com"),
        ("https://a:443/x", "https://a"),
        ("http://a:80", "http://a"),
        ("http://a:8080/x", "http://a:8080"),
        ("http://[::1]:80/x", "http://[::1]"),
        ("https://me:pw@a/x", "https://a"),
        ("ftp://a/x", None),
        ("/x", None),
        ("http://a:99999/", None),
        ("http://[bad", None),
    ],
)
def test_origins(url: str, found: str | None) -> None:
    """Scheme, host and port, lower case, without the usual port and without credentials."""
    assert origin(url) == found


def test_where_a_redirect_leads() -> None:
    """Within the origin its path is told, without a query that may hold secrets; elsewhere the origin; what is no URL, or none, so."""
    places = ("/login?SAMLRequest=x", "//evil.example/login?t=1", "http://[bad", "ftp://x/", "", None)
    assert [led_to("https://a", place) for place in places] == ["/login", "https://evil.example", "no URL", "no URL", "/", "nowhere"]


def test_target_is_path_and_query() -> None:
    """What a request line has."""
    assert [target(url) for url in ("https://a/x?y=1#z", "https://a", "/x")] == ["/x?y=1", "/", "/x"]


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("/x?access_token=abc&y=1", "/x?access_token=[redacted]&y=1"),
        ("GET https://a/x?y=1&API_KEY=abc", "GET https://a/x?y=1&API_KEY=[redacted]"),
        (
            "/login/oauth2/token?client_secret=a&code=b&refresh_token=c",
            "/login/oauth2/token?client_secret=[redacted]&code=[redacted]&refresh_token=[redacted]",
        ),
        ("Bearer 123~" + "a" * 30, "Bearer [token]"),
        ("/x?course_code=a", "/x?course_code=a"),
    ],
)
def test_secrets_are_taken_out(text: str, clean: str) -> None:
    """Values of secret parameters go, and whatever has a token's shape."""
    assert without_secrets(text) == clean
