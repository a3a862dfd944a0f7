from __future__ import annotations

import math
import statistics

import pytest
from bench.bound import Delayed
from bench.level import FAMILIES, Booked, Case, Greedy
from bench.limiter import known, unknown

from probes.bucket import BucketSettings
from probes.ledger import Ledger
from probes.neighbours import Neighbours

DEFAULT = BucketSettings()


def ledger(**changes: float) -> Ledger:
    """A book of a default bucket that has seen a clean header long ago, so that no doubt is left."""
    book = Ledger(DEFAULT.scaled(**changes))
    book.neighbours.header(-100.0)
    book.neighbours.header(0.0)
    return book


def sent_at_once(book: Ledger, now_s: float = 0.0) -> list[int]:
    """The numbers of all calls that may leave at one instant."""
    numbers = []
    while book.wait_s(now_s) <= 0.0:
        numbers.append(book.send(now_s))
    return numbers


def ratio(case: Case, book: Ledger) -> tuple[float, int]:
    """(finish time against the greedy oracle, refusals)."""
    job = Booked(case, book).run()
    return job.seconds / Greedy(case).run().seconds, job.refused


def test_burst_from_rest_is_the_formula() -> None:
    """Eleven calls may leave at one instant from rest: ceil((600 - 0) / 50) - 1."""
    assert len(sent_at_once(ledger())) == 11


def test_a_new_book_keeps_room_for_neighbours_until_a_header_came() -> None:
    """Before the first header two fifths of the mark stay free."""
    assert len(sent_at_once(Ledger(DEFAULT))) == 7


def test_the_wait_is_what_the_leak_needs() -> None:
    """Above the mark the wait is what must leak, at the outflow."""
    book = ledger()
    sent_at_once(book)
    assert book.wait_s(0.0) == pytest.approx((550.0 + 50.0 + 2.0 - 600.0) / 10.0, abs=1e-5)


def test_an_answer_makes_room() -> None:
    """An answer gives its reservation back and pays its cost."""
    book = ledger()
    numbers = sent_at_once(book)
    book.answer(numbers[0], 0.0, 7.0, None, False, None)
    assert book.level_at(0.0) == pytest.approx(550.0 - 50.0 + 7.0)


def test_an_unknown_number_changes_nothing() -> None:
    """An answer to a call that is not out, or was answered already, is ignored."""
    book = ledger()
    number = book.send(0.0)
    book.answer(number, 0.0, 1.0, None, False, None)
    level = book.level_at(0.0)
    book.answer(number, 0.0, 1.0, None, False, None)
    book.answer(99, 0.0, 1.0, 0.0, True, 100.0)
    assert (book.level_at(0.0), book.wait_s(0.0)) == (level, 0.0)


def test_taken_back() -> None:
    """A call that never left leaves no trace, and taking it back twice neither."""
    book = ledger()
    number = book.send(0.0)
    book.unsend(number, 0.0)
    book.unsend(number, 0.0)
    assert (book.level_at(0.0), len(book.out)) == (0.0, 0)


@pytest.mark.parametrize("cost", [math.nan, -3.0, 1e308, math.inf])
@pytest.mark.parametrize("remaining", [math.nan, math.inf, -1e300])
def test_garbage_counts_as_not_seen(cost: float, remaining: float) -> None:
    """Values that cannot be costs or levels leave a call without headers: about one unit a second."""
    book = Ledger(DEFAULT)
    first, _ = book.send(0.0), book.send(0.0)
    book.answer(first, 2.0, cost, remaining, False, None)
    assert book.level_at(2.0) == pytest.approx(100.0 - 20.0 - 50.0 + 2.0)


def test_a_lost_call_keeps_its_reservation() -> None:
    """Where headers are usual a call without any failed on its way, and the server may still hold its reservation."""
    book = ledger()
    book.answer(book.send(0.0), 0.1, 0.0, 600.0, False, None)
    book.answer(book.send(0.1), 0.2, None, None, False, None)
    assert book.level_at(0.2) == pytest.approx(50.0 - 1.0 + 0.1, abs=0.01)


def test_agreeing_headers_lower_the_book() -> None:
    """Eight headers in a row that show less than the book free a reservation that was lost."""
    book = ledger()
    book.answer(book.send(0.0), 0.1, 0.0, 600.0, False, None)
    book.answer(book.send(0.1), 0.2, None, None, False, None)
    levels = []
    for step in range(9):
        now = 0.3 + 0.1 * step
        book.answer(book.send(now), now + 0.05, 0.0, 599.0, False, None)
        levels.append(book.level_at(now + 0.05))
    assert levels[6] > 35.0
    assert levels[8] < 3.0


def test_a_header_above_the_book_raises_it_at_once() -> None:
    """What a header shows beyond our own calls is a neighbour's and counts, and room for more is kept."""
    book = ledger()
    book.answer(book.send(0.0), 0.2, 0.1, 400.0, False, None)
    assert book.level_at(0.2) == pytest.approx(200.0)
    assert book.reserve(0.2) > 50.0


def test_neighbours_are_forgotten() -> None:
    """Two minutes after the last sign of a neighbour no room is kept for one."""
    neighbours = Neighbours()
    neighbours.header(0.0)
    for second in (10.0, 10.5, 11.0):
        neighbours.header(second)
        neighbours.jump(1.0, second)
    assert neighbours.unseen(11.0, 0.1) >= 3
    neighbours.header(135.0)
    assert neighbours.unseen(135.0, 0.1) == 0


def test_a_refusal_waits_as_long_as_the_server_says() -> None:
    """Retry-After is kept, up to an hour; a negative or absent one is not."""
    book = ledger()
    book.answer(book.send(0.0), 0.1, None, 590.0, True, 12.0)
    assert book.wait_s(0.1) == pytest.approx(12.0)
    book.answer(book.send(20.0), 20.1, None, 590.0, True, 1e9)
    assert book.wait_s(20.1) == pytest.approx(3600.0)
    other = ledger()
    other.answer(other.send(0.0), 0.1, None, 590.0, True, -5.0)
    assert other.blocked_until_s == -math.inf


def test_refusals_without_remaining_wait_longer_each_time() -> None:
    """A refusal that shows nothing says the bucket is full; each further one in a row says it is fuller than was thought."""
    book, waits, now = ledger(), [], 0.0
    for _ in range(4):
        number = book.send(now)
        book.answer(number, now, None, None, True, None)
        waits.append(book.wait_s(now))
        now += waits[-1] + 1.0
    assert waits == sorted(waits)
    assert 0.0 < waits[0] < 30.0


def test_a_refusal_costs_nothing() -> None:
    """A refused call pays no cost; the header of the refusal is the level."""
    book = ledger()
    book.answer(book.send(0.0), 0.0, 5.0, 90.0, True, None)
    assert book.level_at(0.0) == pytest.approx(510.0)


def test_headers_at_the_floor_count_what_they_may_lack() -> None:
    """A departure that empties the bucket forgives reservations: calls that may arrive after it are counted whole."""
    book = ledger()
    numbers = [book.send(0.0)]
    book.answer(numbers[0], 0.2, 0.0, 600.0, False, None)
    late = [book.send(1.0), book.send(1.1), book.send(1.15)]
    book.level = book.own = 60.0
    book.answer(late[0], 1.2, 0.0, 600.0, False, None)
    assert book.level_at(1.2) == pytest.approx(100.0)


@pytest.mark.parametrize("family", FAMILIES)
def test_known_bucket_at_no_distance_is_as_quick_as_the_oracle(family: str) -> None:
    """Without flight time the book finishes within 1.05 of the greedy oracle, outflow-bound or not, and nothing is refused."""
    found = [ratio(FAMILIES[family](seed), known(FAMILIES[family](seed))) for seed in range(100, 108)]
    assert max(value for value, _ in found) <= 1.05
    assert sum(refused for _, refused in found) == 0


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("jitter_s", [0.003, 0.03])
def test_known_bucket_far_away(family: str, jitter_s: float) -> None:
    """Over a network the book is in the median as quick as any sender that does not gamble on departures; nothing is refused."""
    cases = [FAMILIES[family](seed).changed(rtt_s=0.06, jitter_s=jitter_s) for seed in range(200, 208)]
    jobs = [Booked(case, known(case)).run() for case in cases]
    bounds = [Delayed(case, 0.0).run().seconds for case in cases]
    assert statistics.median(job.seconds / bound for job, bound in zip(jobs, bounds, strict=True)) <= 1.05
    assert sum(job.refused for job in jobs) == 0


def test_unknown_bucket_is_learnt() -> None:
    """From two calls and a burst the three constants are known, without a refusal, and the job is nearly as quick."""
    for seed in range(300, 305):
        case = FAMILIES["wide"](seed)
        book = unknown(case)
        value, refused = ratio(case, book)
        assert refused == 0
        assert value < 1.3
        assert book.settings.up_front_cost == pytest.approx(case.bucket.up_front_cost, rel=0.02)
        assert book.settings.high_water_mark == pytest.approx(case.bucket.high_water_mark, rel=0.05)


def test_drift_of_a_neighbour_is_followed() -> None:
    """Somebody who takes 3 units/s all the time costs no refusal."""
    for seed in range(400, 405):
        case = FAMILIES["canvas"](seed).changed(others="drift")
        assert ratio(case, known(case))[1] == 0


def test_a_learnt_reservation_grows_after_a_refusal() -> None:
    """A refusal that a learnt book did not foresee makes the reservation larger, once for all that were out."""
    case = FAMILIES["canvas"](1)
    book = unknown(case)
    Booked(case, book).run()
    before = book.settings.up_front_cost
    first, second = book.send(1000.0), book.send(1000.0)
    book.answer(first, 1001.0, None, -20.0, True, None)
    book.answer(second, 1001.1, None, 30.0, True, None)
    assert book.settings.up_front_cost == pytest.approx(1.1 * before)


def test_a_server_without_headers_is_taken_for_the_worst() -> None:
    """An unknown bucket whose answers carry no headers gets two calls at a time, for ever."""
    book = unknown(FAMILIES["canvas"](1))
    for step in range(20):
        numbers = sent_at_once(book, 10.0 * step)
        assert len(numbers) <= 2
        for number in numbers:
            book.answer(number, 10.0 * step + 1.0, None, None, False, None)
