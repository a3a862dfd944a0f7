from __future__ import annotations

import pytest

from probes.wording import heard, meant, percent, plural, rounded_down, seconds, times


@pytest.mark.parametrize(
    ("value", "text"), [(17.99, "17.9"), (1234.5, "1,234"), (9.999, "9.99"), (0.06789, "0.0678"), (0.0, "0"), (1.0, "1"), (0.3, "0.3")]
)
def test_a_recommended_rate_is_never_rounded_up(value: float, text: str) -> None:
    """Three digits, all before the point, always down."""
    assert rounded_down(value) == text


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0.0, "0 ms"),
        (0.0994, "99 ms"),
        (0.0995, "0.10 s"),
        (0.9949, "0.99 s"),
        (0.995, "1.0 s"),
        (9.949, "9.9 s"),
        (9.95, "10 s"),
        (119.0, "119 s"),
        (120.0, "2 min"),
        (7199.0, "120 min"),
        (7200.0, "2.0 h"),
    ],
)
def test_times_for_people(value: float, told: str) -> None:
    """Milliseconds below a tenth of a second, then two digits, then whole seconds, minutes and hours."""
    assert seconds(value) == told


def test_counts_and_shares() -> None:
    """One thing is named in the singular, thousands have a comma, and a share is told per cent."""
    assert [plural(1, "call"), plural(1200, "call"), plural(2, "reply", "replies")] == ["1 call", "1,200 calls", "2 replies"]
    assert [times(1), times(1200)] == ["once", "1,200 times"]
    assert [percent(0.05), percent(0.0123, 1)] == ["5 %", "1.2 %"]


def test_the_word_that_was_meant() -> None:
    """The nearest known word, in whatever case it was written; where none is near, all in their order."""
    assert meant("Rech", ["latency", "reach"]) == "did you mean reach?"
    assert meant("xyz", ["latency", "reach"]) == "known are latency, reach."


def test_words_that_a_locale_left_undecoded() -> None:
    """Bytes that a locale of plain ASCII left as surrogates are read as UTF-8; other words, and other bytes, stay as they are."""
    undecoded = "-i=école ✓".encode().decode("ascii", "surrogateescape")
    assert heard(undecoded) == "-i=école ✓"
    assert [heard(word) for word in ("beta", "é", "\udcff")] == ["beta", "é", "\udcff"]
