"""What answers show before any fit, and how `probes rate` tells of budget headers that cannot be read."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from asked import made, place

from probes.calls import Call
from probes.client import Client
from probes.clock import run_virtually
from probes.config import Instance
from probes.jobs import rate as job
from probes.jobs.session import Settings
from probes.runs import Run
from probes.signatures import regime_of, unread_header

CALL = Call("GET", "/api/v1/users/self")


class Hearing(Settings):
    """What is said goes into `lines`."""

    lines: list[str] = []  # noqa: RUF012 # one a test

    def say(self, text: str) -> None:
        """Keeps it."""
        self.lines.append(text)


def test_a_header_that_most_answers_carry() -> None:
    """It is named where at least half of the answers have it; the most common value stands for all."""
    bare, odd = made(), made(facts={"budget_unread": "X-Rate-Limit-Remaining: 600,0"})
    assert unread_header([bare, odd]) == "X-Rate-Limit-Remaining is no number ('600,0') on 1 of 2 answers"
    assert unread_header([bare, bare, odd]) is None
    assert unread_header([bare]) is None
    says = "X-Rate-Limit-Remaining is no number ('600,0') on 3 of 3 answers: the level cannot be read."
    assert regime_of([odd] * 3, []) == ("unthrottled", (("unread_headers", says),))


@pytest.mark.untraced
def test_a_rate_whose_header_is_no_number(tmp_path: Path) -> None:
    """That refusals are looked for, and what the answer rests on, is told by the header that is there, not as one that is missing."""

    async def answer(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.1)
        return httpx.Response(200, json={"id": 1}, headers={"X-Rate-Limit-Remaining": "600,0", "X-Runtime": "0.1"})

    def make(one: Instance, folder: Run) -> Client:
        return Client(one, record=folder.append, transport=httpx.MockTransport(answer), origin_s=0.0)

    instance, settings = place("test", max_rate=40.0), Hearing()
    run = Run.create(tmp_path, ["rate"], [instance])
    asked = job.Asked(["test"], [], budget=40)
    measured = run_virtually(job.measure(settings, instance, (CALL,), asked, run, make))
    seen = list(run.observations())
    (entry,) = job.documents_of(measured, seen, (CALL,), 1000, instance)
    unread = "X-Rate-Limit-Remaining is no number ('600,0') on"
    assert settings.lines[0].startswith(f"At test {unread} ")
    assert settings.lines[0].endswith(" answers: finding the limit by a few refusals, which takes some minutes.")
    (says,) = [sign["says"] for sign in entry["signs"] if sign["kind"] == "unread_headers"]
    assert says.startswith(f"{unread} 40 of 40 answers: told from 0 refusals in ")
    assert "no_headers" not in [sign["kind"] for sign in entry["signs"]]
