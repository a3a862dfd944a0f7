from __future__ import annotations

import asyncio
from datetime import datetime
from itertools import pairwise
from typing import Any

from simulated import Simulated, answer, answers, simulated

from probes.simulator.profiles import profile
from probes.simulator.settings import SimulatorSettings

IMPORTS = "/api/v1/accounts/1/sis_imports"


def seconds(record: dict[str, Any], start: str, end: str) -> float:
    return (datetime.fromisoformat(record[end]) - datetime.fromisoformat(record[start])).total_seconds()


def test_imports_run_one_after_another() -> None:
    """Each import starts when the one before it ends, and a small one behind the nightly one waited an hour at 0 %."""
    records = answer(f"{IMPORTS}?per_page=100").json()["sis_imports"][::-1]
    done = [r for r in records if r["ended_at"]]
    assert all(earlier["ended_at"] <= later["started_at"] for earlier, later in pairwise(done))
    assert max(seconds(r, "created_at", "started_at") for r in done) > 3000
    assert {r["workflow_state"] for r in done} == {"imported", "imported_with_messages", "failed_with_messages"}


def test_a_new_import_waits_for_the_backlog() -> None:
    """A new import is initializing, created, importing, imported as the queue before it moves, in the loop's time."""

    async def talk(simulator: Simulated) -> list[tuple[str, int]]:
        made = (await simulator.client.post(IMPORTS)).json()
        seen = [(made["workflow_state"], made["progress"])]
        record = simulator.world.imports.imports[-1]
        for moment in (10.0, record.started_s + record.run_s / 2.0, record.ended_s + 1.0):
            await asyncio.sleep(moment - simulator.world.now_s())
            told = await simulator.json(f"{IMPORTS}/{made['id']}")
            seen.append((told["workflow_state"], told["progress"]))
        return seen

    first, waiting, half, done = simulated(talk)
    assert (first, waiting, done) == (("initializing", 0), ("created", 0), ("imported", 100))
    assert half[0] == "importing"
    assert 50 <= half[1] <= 53


def test_abort_lets_others_move_up() -> None:
    """An aborted import ends there, and the one behind it starts earlier."""

    async def talk(simulator: Simulated) -> tuple[str, float, float, list[int]]:
        made = (await simulator.client.post(IMPORTS)).json()["id"]
        before = simulator.world.imports.imports[-1].started_s
        told = (await simulator.client.put(f"{IMPORTS}/{made - 1}/abort")).json()
        await simulator.client.put(f"{IMPORTS}/1/abort")
        running = (await simulator.json(f"{IMPORTS}/importing"))["sis_imports"]
        return told["workflow_state"], before, simulator.world.imports.imports[-1].started_s, [r["id"] for r in running]

    state, before, after, running = simulated(talk)
    assert (state, running) == ("aborted", [25])
    assert after < before


def test_aborting_the_running_import_frees_the_queue() -> None:
    """When the import at work is aborted, the next starts at that moment."""

    async def talk(simulator: Simulated) -> float:
        await asyncio.sleep(5.0)
        (running,) = (await simulator.json(f"{IMPORTS}/importing"))["sis_imports"]
        await simulator.client.put(f"{IMPORTS}/{running['id']}/abort")
        aborted, after = simulator.world.imports.imports[running["id"] - 1 : running["id"] + 1]
        assert aborted.aborted_s is not None
        return after.started_s - aborted.aborted_s

    assert simulated(talk) == 0.0


def test_states_filter_imports() -> None:
    """workflow_state[] filters imports."""
    told = answer(f"{IMPORTS}?workflow_state[]=imported_with_messages&per_page=100").json()["sis_imports"]
    assert {r["workflow_state"] for r in told} == {"imported_with_messages"}
    assert told[0]["processing_warnings"] == [["users.csv", "user 17 has no login"]]


def test_imports_only_where_allowed() -> None:
    """Imports of a sub-account are 400, where imports are off 403, unknown ones 404."""
    sub, unknown, account = answers("/api/v1/accounts/2/sis_imports", f"{IMPORTS}/999", "/api/v1/accounts/77")
    assert (sub.status_code, sub.json()) == (400, {"errors": ["SIS imports can only be executed on root accounts"]})
    assert (unknown.status_code, account.status_code) == (404, 404)
    off = answer(IMPORTS, SimulatorSettings(sis_imports=False))
    assert (off.status_code, off.json()) == (403, {"errors": ["SIS imports are not enabled for this account"]})


def test_progress_goes_from_queued_to_completed() -> None:
    """A Progress is queued, running, completed, without start and end; its completion grows."""

    async def talk(simulator: Simulated) -> list[tuple[str, bool]]:
        job = (await simulator.client.post("/api/v1/courses/1/link_validation")).json()
        seen = [(job["workflow_state"], "results" in job)]
        record = simulator.world.jobs.jobs[job["id"]]
        for moment in (record.started_s + 1.0, record.ended_s + 1.0):
            await asyncio.sleep(moment - simulator.world.now_s())
            told = await simulator.json("/api/v1/courses/1/link_validation")
            assert "started_at" not in told
            seen.append((told["workflow_state"], "results" in told))
        return seen

    assert simulated(talk) == [("queued", False), ("running", False), ("completed", True)]


def test_cancelled_progress_reads_failed() -> None:
    """Cancelling a job sets it to failed with a message."""

    async def talk(simulator: Simulated) -> tuple[str, str]:
        job = (await simulator.client.post("/api/v1/accounts/1/bulk_enrollment")).json()
        told = (await simulator.client.post(f"/api/v1/progress/{job['id']}/cancel")).json()
        return told["workflow_state"], told["message"]

    assert simulated(talk) == ("failed", "Unexpected error, ID: 4711")


def test_all_progress_states_exist() -> None:
    """The first six Progress objects stand in the six real states, two of them undocumented; a seventh does not exist."""
    told = answers(*(f"/api/v1/progress/{n}" for n in range(1, 8)))
    assert [a.json().get("workflow_state") for a in told] == [
        "completed",
        "failed",
        "waiting_for_external_tool",
        "canceled",
        "running",
        "queued",
        None,
    ]
    assert answer("/api/v1/courses/1/link_validation").json() == {}


def test_test_has_the_longer_queue() -> None:
    """Test has more imports waiting than sandbox."""
    waiting = [
        len([r for r in answer(f"{IMPORTS}?per_page=100", profile(name)).json()["sis_imports"] if not r["ended_at"]])
        for name in ("test", "beta", "production", "sandbox")
    ]
    assert waiting == [6, 4, 2, 0]
