"""Dialects: recorded header fields and what is read from them, and that no garbage is ever read as a number."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import outside
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.dialects import BUILT_IN, Dialect, ServerAccount, dialect, names
from probes.dialects.fields import GREATEST, LONGEST_S
from probes.dialects.foreign import foreign_budget, unread_budget
from probes.dialects.links import links
from probes.dialects.lists import BadLink, following, items, with_query
from probes.dialects.outcomes import plain_outcome
from probes.errors import ConfigError
from probes.observation import Outcome, Quota

HEADERS = Path(__file__).parent / "data" / "headers"
CASES = [
    pytest.param(path.stem, case, id=f"{path.stem}: {case['name']}")
    for path in sorted(HEADERS.glob("*.json"))
    for case in json.loads(path.read_text(encoding="utf-8"))["cases"]
]


@pytest.mark.parametrize(("name", "case"), CASES)
def test_recorded_answers(name: str, case: dict[str, Any]) -> None:
    """Each recorded answer gives exactly this outcome, quota and server's account."""
    spoken = dialect(name)
    headers = case["headers"]
    assert spoken.outcome(case["status"], headers, case["body"].encode()) is Outcome(case["outcome"])
    assert spoken.quota(headers) == Quota(**case["quota"])
    assert spoken.server(headers) == ServerAccount(**case["server"])


def test_every_dialect_has_recorded_answers() -> None:
    """There is a file of recorded answers for each dialect, with a refusal in it."""
    assert {path.stem for path in HEADERS.glob("*.json")} == set(BUILT_IN)
    refused = {value.values[0] for value in CASES if value.values[1]["outcome"] == "throttled"}  # type: ignore[index]
    assert refused == set(BUILT_IN)


def test_names_and_one_table_each() -> None:
    """The dialects by name, each saying its own name and a path that needs no id."""
    assert names() == sorted(BUILT_IN)
    for name in BUILT_IN:
        spoken = dialect(name)
        assert isinstance(spoken, Dialect)
        assert spoken.name == name
        assert spoken.self_path.startswith("/")
        assert spoken.list_path.startswith("/")
        assert spoken.authorization.format(token="x") == "Bearer x"
    assert [name for name in BUILT_IN if dialect(name).levels] == ["canvas"]


@pytest.mark.parametrize(("reset", "told"), [("0", 0.0), ("5", 5.0), ("2678400", 2678400.0), ("2678401", None), ("-1", None)])
def test_a_reset_beyond_a_month_is_none(reset: str, told: float | None) -> None:
    """In the IETF's structured forms as well a reset is a wait of 0 s to 31 days."""
    spoken = dialect("ietf")
    assert spoken.quota({"ratelimit": f"limit=100, remaining=50, reset={reset}"}) == Quota(remaining=50.0, limit=100.0, reset_s=told)
    assert spoken.quota({"ratelimit": f'"day";r=50;t={reset}'}) == Quota(remaining=50.0, reset_s=told)


@pytest.mark.parametrize(("name", "field"), [("canvas", "x-runtime"), ("github", "x-runtime-rack"), ("gitlab", "x-runtime")])
def test_a_server_time_beyond_a_month_is_none(name: str, field: str) -> None:
    """What a server says it took is a time of 0 s to 31 days."""
    told = [dialect(name).server({field: text}).server_time_s for text in ("-1", "0", "0.25", "2678400", "2678401")]
    assert told == [None, 0.0, 0.25, 2678400.0, None]


def test_an_unknown_dialect() -> None:
    """An unknown name raises ConfigError that names the known ones."""
    with pytest.raises(
        ConfigError, match=r"^There is no dialect 'moodle': known are blackboard, brightspace, canvas, github, gitlab, ietf\.$"
    ):
        dialect("moodle")


def test_a_dialect_from_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package adds a dialect through the entry-point group probes.dialects."""
    outside.install(
        tmp_path, monkeypatch, "[probes.dialects]\nilias = added:ILIAS\nmoodle = added:DIALECT\n", "DIALECT = 'the moodle dialect'\n"
    )
    assert "moodle" in names()
    assert str(dialect("moodle")) == "the moodle dialect"


def test_a_date_beyond_all_dates() -> None:
    """Dates that no calendar difference can hold are no wait."""
    headers = {"date": "0001-01-01T00:00:00+23:00", "retry-after": "9999-12-31T23:59:59-23:00"}
    assert dialect("canvas").quota(headers).retry_after_s is None


FIELDS = (
    *("x-request-cost", "x-rate-limit-remaining", "x-rate-limit-limit", "x-rate-limit-reset", "x-runtime", "x-canvas-meta", "retry-after"),
    *("ratelimit", "ratelimit-policy", "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", "date"),
    *("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "www-authenticate", "content-type", "x-runtime-rack"),
)
TEXTS = st.one_of(
    st.text(st.characters(max_codepoint=255), max_size=40),
    st.floats().map(str),
    st.integers().map(str),
    st.sampled_from(["nan", "inf", "-inf", "1e308", "1e999", "$0.15", "600.0abc", "0x1F", "1_000", "20, 20;w=60", "9" * 400, "-5", "٦"]),
    st.datetimes().map(str),
)


@pytest.mark.untraced
@given(st.dictionaries(st.sampled_from(FIELDS), TEXTS), st.integers(100, 599), st.binary(max_size=60), st.sampled_from(BUILT_IN))
def test_no_answer_breaks_a_dialect(headers: dict[str, str], status: int, body: bytes, name: str) -> None:
    """Whatever a server sends, a dialect gives an outcome and numbers that are plausible, or None."""
    spoken = dialect(name)
    assert spoken.outcome(status, headers, body) in Outcome
    quota, server = spoken.quota(headers), spoken.server(headers)
    for value in (quota.remaining, quota.cost, quota.limit):
        assert value is None or abs(value) <= GREATEST
    for value in (quota.reset_s, quota.retry_after_s, server.server_time_s):
        assert value is None or 0.0 <= value <= LONGEST_S
    assert quota.cost is None or quota.cost >= 0.0


@given(st.floats(-1000, 1000), st.floats(0, 1000))
def test_numbers_survive(remaining: float, cost: float) -> None:
    """A number as any language writes it is read exactly."""
    headers = {"x-rate-limit-remaining": repr(remaining), "x-request-cost": repr(cost)}
    assert dialect("canvas").quota(headers) == Quota(remaining=remaining, cost=cost)


BUDGETS = {
    "blackboard": ("x-rate-limit-remaining", "x-rate-limit-limit"),
    "brightspace": ("x-rate-limit-remaining", "x-request-cost"),
    "canvas": ("x-request-cost",),
    "github": ("x-ratelimit-remaining", "x-ratelimit-limit"),
    "gitlab": ("ratelimit-remaining", "ratelimit-limit"),
    "ietf": ("ratelimit-remaining", "ratelimit-limit"),
}


@pytest.mark.parametrize("name", BUDGETS)
def test_nothing_left_is_a_number(name: str) -> None:
    """0 is a number: nothing left, nothing paid; less than that is none, but for the level of Canvas's bucket."""
    fields = ("remaining", "limit", "cost")
    for text, expected in (("0", [0.0]), ("0.25", [0.25]), ("-1", [])):
        quota = dialect(name).quota(dict.fromkeys(BUDGETS[name], text))
        told = [value for field in fields if (value := getattr(quota, field)) is not None]
        assert told == expected * len(BUDGETS[name])
    assert dialect("canvas").quota({"x-rate-limit-remaining": "-1"}) == Quota(remaining=-1.0)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("blackboard", "x-request-id"),
        ("blackboard", "x-blackboard-request-id"),
        ("brightspace", "x-request-id"),
        ("canvas", "x-request-context-id"),
        ("github", "x-github-request-id"),
        ("gitlab", "x-request-id"),
        ("ietf", "x-request-id"),
    ],
)
def test_the_requests_own_number(name: str, field: str) -> None:
    """Each dialect reads the id that its support asks for."""
    assert dialect(name).server({field: "7f-3"}) == ServerAccount(request_id="7f-3")


@pytest.mark.parametrize(
    ("statuses", "outcome"),
    [
        ((200, 201, 204, 299, 304), Outcome.OK),
        ((300, 301, 303, 307, 399), Outcome.REDIRECTED),
        ((400, 402, 409, 418, 422, 499), Outcome.CLIENT_ERROR),
        ((401,), Outcome.UNAUTHORIZED),
        ((403,), Outcome.FORBIDDEN),
        ((404, 410), Outcome.NOT_FOUND),
        ((429,), Outcome.THROTTLED),
        ((500, 501, 505, 519, 531, 599), Outcome.SERVER_ERROR),
        ((502, 504, 520, 522, 530), Outcome.GATEWAY_ERROR),
        ((503,), Outcome.MAINTENANCE),
    ],
)
def test_what_a_status_means_by_itself(statuses: tuple[int, ...], outcome: Outcome) -> None:
    """Where a dialect knows no better the status alone says how a request ended; 52x and 530 are an edge's own."""
    assert {status: plain_outcome(status, {}, b"{}") for status in statuses} == dict.fromkeys(statuses, outcome)


# Link


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('<https://a/x?page=2>; rel="next"', {"next": "https://a/x?page=2"}),
        (
            '<https://a/x?page=1>; rel="current",<https://a/x?page=2>; rel="next"',
            {"current": "https://a/x?page=1", "next": "https://a/x?page=2"},
        ),
        (
            '<https://a/x?ids=1,2,3&page=2>; rel="next", <https://a/x>; rel="first"',
            {"next": "https://a/x?ids=1,2,3&page=2", "first": "https://a/x"},
        ),
        ("<https://a/x>; rel=next", {"next": "https://a/x"}),
        ("<https://a/x>;REL=NEXT", {"next": "https://a/x"}),
        ('<https://a/x>; title="a, b; c"; rel="next"', {"next": "https://a/x"}),
        ('<https://a/x>; title="a; rel=\\"prev\\""; rel="next"', {"next": "https://a/x"}),
        ("<https://a/x>; rel='next'", {"next": "https://a/x"}),
        ('<https://a/x>; rel="next last"', {"next": "https://a/x", "last": "https://a/x"}),
        ('<https://a/1>; rel="next", <https://a/2>; rel="next"', {"next": "https://a/1"}),
        ('</x?page=2>; rel="next"', {"next": "https://a/x?page=2"}),
        ('<?page=2>; rel="next"', {"next": "https://a/list?page=2"}),
        ('<https://a/x;y>; rel="next"', {"next": "https://a/x;y"}),
        ('< https://a/x >; rel = "next"', {"next": "https://a/x"}),
        ("", {}),
        ("garbage", {}),
        ("<https://a/x>", {}),
        ("<https://a/x>; rel", {}),
        ('<https://a/x>; title="next"', {}),
        ('<https://a/x>; rel="next"; rel="prev"', {"next": "https://a/x"}),
        ('<https://a/x>; rel=""', {}),
        ("<https://a/x; rel=next", {}),
        ('<http://[bad>; rel="next"', {}),
        ('<>; rel="next"', {"next": "https://a/list"}),
    ],
)
def test_link_is_read_as_servers_write_it(text: str, found: dict[str, str]) -> None:
    """Commas inside URLs, quotes or none, any case, several relations, relative URLs; what cannot be read is left out."""
    assert links({"link": text}, "https://a/list") == found


@given(st.text(st.characters(max_codepoint=255), max_size=200))
def test_no_link_field_breaks(text: str) -> None:
    """Any text in Link gives a table of relations, lower case."""
    for rel in links({"link": text}, "https://a/"):
        assert rel == rel.lower()


# Lists


@pytest.mark.parametrize(
    ("document", "path", "found"),
    [
        ([1, 2], "/api/v1/x", [1, 2]),
        ({"sis_imports": [1]}, "/api/v1/accounts/1/sis_imports?per_page=1", [1]),
        ({"sis_imports": [1]}, "/api/v1/accounts/1/sis_imports/importing", [1]),
        ({"total": 2, "data": [1]}, "/api/v1/accounts/1/lti_registrations", [1]),
        ({"PagingInfo": {}, "Items": [1]}, "/d2l/api/lp/1.31/enrollments/myenrollments/", [1]),
        ({"results": [1], "paging": {}}, "/learn/api/public/v3/courses", [1]),
        ({"id": 1, "teachers": [1]}, "/api/v1/courses/1", None),
        ({"errors": [{"message": "x"}]}, "/api/v1/courses", None),
        ({"a": [1], "b": [2]}, "/api/v1/x", None),
        ({"message": "no"}, "/api/v1/x", None),
        ({"data": {"id": 1}}, "/api/v1/x", None),
        ({"x": {"id": 1}, "things": [1]}, "/api/v1/x", [1]),
        ({}, "/x", None),
        ("text", "/x", None),
        (None, "/x", None),
    ],
)
def test_items_are_found_in_their_envelope(document: Any, path: str, found: list[Any] | None) -> None:
    """A list is itself, or in its envelope; an object that merely has a list is no list."""
    assert items(document, path) == found


@pytest.mark.parametrize(
    ("paging", "headers", "document", "url"),
    [
        ("link", {"link": '<https://a/x?page=2>; rel="next"'}, [], "https://a/x?page=2"),
        ("link", {"link": '<https://a/x?sort=next>; rel="current"'}, [], None),
        ("link", {}, [], None),
        ("bookmark", {}, {"PagingInfo": {"Bookmark": "12", "HasMoreItems": True}, "Items": []}, "https://a/x?q=1&bookmark=12"),
        ("bookmark", {}, {"PagingInfo": {"Bookmark": "12", "HasMoreItems": False}, "Items": []}, None),
        ("bookmark", {}, {"Objects": [], "Next": "https://a/x?bookmark=9"}, "https://a/x?bookmark=9"),
        ("bookmark", {}, {"Objects": [], "Next": None}, None),
        ("bookmark", {}, [], None),
        ("next_page", {}, {"results": [], "paging": {"nextPage": "/x?offset=100"}}, "https://a/x?offset=100"),
        ("next_page", {}, {"results": [], "paging": {"nextPage": "https://b/x"}}, "https://b/x"),
        ("next_page", {}, {"results": []}, None),
        ("next_page", {}, [], None),
    ],
)
def test_where_the_next_page_is(paging: str, headers: dict[str, str], document: Any, url: str | None) -> None:
    """Each way of paging names its next page."""
    assert following(paging, headers, document, "https://a/x?q=1") == url


@pytest.mark.parametrize(
    ("paging", "headers", "document"),
    [
        ("link", {"link": '<https://a/x?page=2; rel="next"'}, []),
        ("link", {"link": 'https://a/x?page=2; rel="next"'}, []),
        ("link", {"link": '<https://a/1>; rel="current", <http://[bad>; rel="next"'}, []),
        ("bookmark", {}, {"PagingInfo": {"HasMoreItems": True}, "Items": []}),
        ("next_page", {}, {"results": [], "paging": {"nextPage": 7}}),
    ],
)
def test_a_next_page_that_cannot_be_read(paging: str, headers: dict[str, str], document: Any) -> None:
    """A next page that is named but cannot be read is never taken for the end of the list."""
    with pytest.raises(BadLink):
        following(paging, headers, document, "https://a/x")


def test_a_query_is_set() -> None:
    """A parameter of the same name is replaced, the others stay."""
    assert with_query("https://a/x?b=1&state[]=c&bookmark=0", bookmark="2:3") == "https://a/x?b=1&state[]=c&bookmark=2:3"


CANVAS_SAYS = {"x-rate-limit-remaining": "600.0", "x-request-cost": "0.12", "x-request-context-id": "r1"}
BRIGHTSPACE_SAYS = {"x-rate-limit-remaining": "600", "x-request-cost": "1", "x-rate-limit-reset": "60"}
BLACKBOARD_SAYS = {"x-rate-limit-remaining": "600", "x-rate-limit-limit": "900", "x-rate-limit-reset": "60"}
GITHUB_SAYS = {"x-ratelimit-remaining": "4999", "x-ratelimit-limit": "5000", "x-ratelimit-used": "1"}
GITLAB_SAYS = {"ratelimit-remaining": "4999", "ratelimit-observed": "1"}
IETF_SAYS = {"ratelimit": '"d";r=99;t=60', "ratelimit-policy": '"d";q=100;w=60'}


@pytest.mark.parametrize(
    ("own", "says", "whose", "named"),
    [
        ("canvas", CANVAS_SAYS, None, ""),
        ("brightspace", BRIGHTSPACE_SAYS, None, ""),
        ("ietf", GITHUB_SAYS, None, ""),
        ("ietf", GITLAB_SAYS, None, ""),
        ("ietf", BLACKBOARD_SAYS, None, ""),
        ("canvas", {}, None, ""),
        ("canvas", {**CANVAS_SAYS, **GITLAB_SAYS}, None, ""),
        ("brightspace", {"x-rate-limit-remaining": "600"}, None, ""),
        ("ietf", CANVAS_SAYS, "canvas", "x-rate-limit-remaining, x-request-cost"),
        ("brightspace", CANVAS_SAYS, "canvas", "x-rate-limit-remaining, x-request-cost"),
        ("github", CANVAS_SAYS, "canvas", "x-rate-limit-remaining, x-request-cost"),
        ("canvas", GITHUB_SAYS, "github", "x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-used"),
        ("canvas", {"x-ratelimit-remaining": "5", "x-github-request-id": "C0DE"}, "github", "x-ratelimit-remaining"),
        ("canvas", {"x-ratelimit-remaining": "5"}, "ietf", "x-ratelimit-remaining"),
        ("canvas", GITLAB_SAYS, "gitlab", "ratelimit-observed, ratelimit-remaining"),
        ("github", IETF_SAYS, "ietf", "ratelimit, ratelimit-policy"),
        ("canvas", BRIGHTSPACE_SAYS, "brightspace", "x-rate-limit-remaining, x-rate-limit-reset, x-request-cost"),
        ("canvas", BLACKBOARD_SAYS, "blackboard", "x-rate-limit-limit, x-rate-limit-remaining, x-rate-limit-reset"),
    ],
)
def test_budget_headers_of_another_dialect(own: str, says: dict[str, str], whose: str | None, named: str) -> None:
    """They are told apart by what only one API sends; headers that the configured dialect reads rightly are its own."""
    one = dialect(own)
    told = {} if whose is None else {"budget_of": whose, "budget_headers": named}
    assert foreign_budget(one, says, one.quota(says)) == told


@pytest.mark.parametrize(
    ("own", "says", "told"),
    [
        ("canvas", {"x-rate-limit-remaining": "600,0"}, "X-Rate-Limit-Remaining: 600,0"),
        ("canvas", {"x-rate-limit-remaining": "NaN"}, "X-Rate-Limit-Remaining: NaN"),
        ("canvas", {"x-rate-limit-remaining": "9" * 50 + "x"}, "X-Rate-Limit-Remaining: " + "9" * 40),
        ("github", {"x-ratelimit-remaining": "many"}, "X-RateLimit-Remaining: many"),
        ("canvas", {"x-rate-limit-remaining": "600.0"}, None),
        ("canvas", {"x-rate-limit-user-remaining": "600"}, None),
        ("canvas", {"x-rate-limit-limit": "?"}, None),
    ],
)
def test_a_budget_header_that_is_no_number(own: str, says: dict[str, str], told: str | None) -> None:
    """It is told by its name and value; one that is a number, or tells something else than what remains, is not."""
    assert unread_budget(says, dialect(own).quota(says)).get("budget_unread") == told
