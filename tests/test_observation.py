from __future__ import annotations

import dataclasses
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.observation import FIELDS, NETWORK_OUTCOMES, Observation, Outcome, Quota, plain

FEW = Observation("beta", "latency", "GET /a", "GET", "/a", 1.0, 1.25, 2.0, 200, Outcome.OK)
CONTRACT = """
instance scenario call method path due_s sent_s received_s status outcome remaining cost server_time_s request_id
""".split()
OUTCOMES = """
ok throttled unauthorized forbidden no_user_agent redirected maintenance cancelled dns_error not_found client_error
server_error gateway_error connect_timeout read_timeout write_timeout pool_timeout connect_error tls_error protocol_error too_large
""".split()

number = st.none() | st.floats(allow_nan=False, allow_infinity=False, min_value=-1e6, max_value=1e6).map(lambda x: round(x, 9))
text = st.none() | st.text()
observations = st.builds(
    Observation,
    instance=st.text(),
    scenario=st.text(),
    call=st.text(),
    method=st.sampled_from(["GET", "DELETE"]),
    path=st.text(),
    due_s=number.filter(lambda x: x is not None),
    sent_s=number,
    received_s=number,
    status=st.none() | st.integers(100, 599),
    outcome=st.sampled_from(list(Outcome)),
    remaining=number,
    cost=number,
    request_id=text,
    reused=st.none() | st.booleans(),
    error=text,
    facts=st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text())),
)


def test_outcomes_are_the_closed_list_of_the_design() -> None:
    """The outcomes are those of the design, no more and no fewer."""
    assert list(Outcome) == OUTCOMES
    assert {outcome.value for outcome in NETWORK_OUTCOMES} == {
        *("dns_error", "connect_timeout", "read_timeout", "write_timeout"),
        *("pool_timeout", "connect_error", "tls_error", "protocol_error"),
    }


def test_a_line_as_it_is_written() -> None:
    """The whole line, in the order of the fields: what was not seen is null."""
    assert FEW.line() == (
        '{"instance":"beta","scenario":"latency","call":"GET /a","method":"GET","path":"/a","due_s":1.0,"sent_s":1.25,"received_s":2.0,'
        '"status":200,"outcome":"ok","remaining":null,"cost":null,"limit":null,"reset_s":null,"retry_after_s":null,"server_time_s":null,'
        '"queue_s":null,"cpu_s":null,"db_s":null,"request_id":null,"pool_s":null,"connect_s":null,"tls_s":null,"send_s":null,"wait_s":null,'
        '"receive_s":null,"reused":null,"size_bytes":null,"error":null,"facts":{}}\n'
    )
    assert not set(CONTRACT).difference(FIELDS)


@pytest.mark.untraced
@given(observations)
@settings(max_examples=50)  # of some forty fields each
def test_a_line_reads_back(observation: Observation) -> None:
    """Whatever was observed reads back from its line, which is one line of ASCII."""
    line = observation.line()
    assert line.isascii()
    assert line.count("\n") == 1
    assert Observation.from_line(line) == observation
    assert Observation.from_line(line.encode()) == observation


def test_text_that_no_encoding_carries() -> None:
    """Half a surrogate pair in a server's JSON does not stop the recording."""
    odd = dataclasses.replace(FEW, facts={"name": "\ud800"}, error="\udc80")
    assert Observation.from_line(odd.line().encode("ascii")) == odd


def test_numbers_that_json_cannot_carry_become_null() -> None:
    """Not a number and infinity are written as null, at any depth; other floats keep nanoseconds."""
    odd = dataclasses.replace(
        FEW, cost=math.nan, remaining=math.inf, due_s=0.1234567891234, facts={"costs": [1.0, -math.inf], "deep": {"x": math.nan}}
    )
    record = json.loads(odd.line())
    assert (record["cost"], record["remaining"], record["due_s"]) == (None, None, 0.123456789)
    assert record["facts"] == {"costs": [1.0, None], "deep": {"x": None}}
    assert plain((1.0, {1: "a"})) == [1.0, {"1": "a"}]


def test_newer_files_stay_readable() -> None:
    """Unknown keys are left out and missing optional ones are None."""
    record = {**json.loads(FEW.line()), "phase_of_the_moon": 0.5}
    del record["cost"], record["facts"]
    assert Observation.from_record(record) == FEW
    assert Observation.from_record({**record, "facts": None}) == FEW


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("", ValueError),
        ('{"instance":', ValueError),
        ("[]", TypeError),
        ("null", TypeError),
        ('{"outcome": "ok"}', TypeError),
        ("{}", KeyError),
        (FEW.line().replace('"ok"', '"fine"'), ValueError),
        (FEW.line().replace('"facts":{}', '"facts":5'), TypeError),
    ],
)
def test_what_is_no_observation(line: str, error: type[Exception]) -> None:
    """A line that is not an observation raises one of the three errors that readers expect."""
    with pytest.raises(error):
        Observation.from_line(line)


def test_latency_counts_from_when_it_was_due() -> None:
    """Latency counts from due, flight from sent; a request without an answer has neither."""
    assert (FEW.latency_s, FEW.flight_s, FEW.ok) == (1.0, 0.75, True)
    lost = dataclasses.replace(FEW, status=None, outcome=Outcome.READ_TIMEOUT)
    assert (lost.latency_s, lost.flight_s, lost.ok) == (None, None, False)
    unsent = dataclasses.replace(FEW, sent_s=None)
    assert (unsent.latency_s, unsent.flight_s) == (1.0, None)
    unfinished = dataclasses.replace(FEW, received_s=None)
    assert (unfinished.latency_s, unfinished.flight_s) == (None, None)


def test_quota_gathers_the_budget() -> None:
    """The five budget fields make a Quota."""
    told = dataclasses.replace(FEW, remaining=550.0, cost=0.5, limit=600.0, reset_s=3.0, retry_after_s=2.0)
    assert told.quota == Quota(remaining=550.0, cost=0.5, limit=600.0, reset_s=3.0, retry_after_s=2.0)
    assert FEW.quota == Quota()
