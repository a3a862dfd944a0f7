"""The questions a report answers, in order: which pictures and tables belong to each, and how it was measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Section:
    """One question: `key` is its anchor, `how` says how it was measured."""

    key: str
    title: str
    how: str
    pictures: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()


SECTIONS = (
    Section(
        "rate",
        "How fast may a job go?",
        "The instance's bucket is identified from its own headers (or from refusals where it sends none); a replay of "
        "that bucket with the costs and times that "
        "were seen tells at which even rate a job of this size, started from rest, meets any refusal with the odds given. "
        "Recommended is the low end of the 95 % interval. The number in flight is the sturdier advice.",
        ("safe-rate",),
        ("rates",),
    ),
    Section(
        "throttle",
        "What throttles me?",
        "Calls that overlap show in the header what each reserves while it runs, and silence shows what leaks. "
        "Every value is what an answer said at the moment it came; intervals are 95 %.",
        ("tank",),
        ("buckets",),
    ),
    Section(
        "latency",
        "How fast is each instance?",
        "Times count from when a call was due to its last byte, on warm connections, of calls answered as asked. "
        "Percentiles carry 95 % intervals by order statistics; "
        "none is told that n cannot carry (median 6, 95th percentile 72, 99th 368). Comparisons come from calls interleaved in blocks.",
        ("latency", "shift", "phases", "drift"),
        ("latency", "comparisons", "phases"),
    ),
    Section(
        "lists",
        "How do lists page?",
        "Each list was asked without a size, with one far too large, and at a few sizes in turn; what the server really "
        "gave is read from its Link header. "
        "Times are medians.",
        ("page-sizes", "page-size-cost"),
        ("pagination", "page_sizes"),
    ),
    Section(
        "queue",
        "How long do imports wait?",
        "SIS imports of one account run one after another: what stood in the queue when it was read, and how long those "
        "that the list still showed had waited and run, by their own times.",
        (),
        ("queues",),
    ),
    Section(
        "load",
        "What happened under load?",
        "Requests were due at even intervals whatever the server did; latency counts from when each was due, so that a "
        "stall is not left out. Guards stop a load at "
        "the first refusal beyond the number allowed.",
        ("load", "punctuality"),
        ("loads",),
    ),
    Section(
        "causes",
        "Why is it slow, or failing?",
        "Each cause is weighed on evidence from our side, the network, the instance and its limit; confidence says how "
        "far the evidence speaks for it.",
        (),
        ("causes",),
    ),
    Section(
        "plan",
        "How should the job be run?",
        "Each strategy is replayed against the bucket that was identified; the odds are those of any refusal in the whole job.",
        (),
        ("plans",),
    ),
    Section(
        "requests",
        "How did the requests end?",
        "One line of observations.jsonl for each request that was sent, never a hidden retry.",
        (),
        ("outcomes",),
    ),
)
"""In the order in which a reader asks."""
