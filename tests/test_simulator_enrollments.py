from __future__ import annotations

from typing import Any

import httpx
import pytest
from simulated import Simulated, answer, answers, simulated

from probes.simulator.profiles import profile
from probes.simulator.school import CHARACTERS
from probes.simulator.settings import SimulatorSettings

PUBLISHED, UNPUBLISHED, FUTURE_HIDDEN, CONCLUDED = 3, 13, 20, 25
OBSERVER, STUDENT = "ObserverEnrollment", "StudentEnrollment"


async def enroll(simulator: Simulated, course: int, who: str, **words: Any) -> httpx.Response:
    enrollment = {"user_id": CHARACTERS[who], "type": STUDENT, "notify": True, **words}
    return await simulator.client.post(f"/api/v1/courses/{course}/enrollments", json={"enrollment": enrollment})


def enrolled(course: int, who: str, settings: SimulatorSettings | None = None, **words: Any) -> tuple[str, list[tuple[str, bool, str]]]:
    """(state in the answer, mail as (kind, sent, why)) after one POST."""

    async def talk(simulator: Simulated) -> tuple[str, list[tuple[str, bool, str]]]:
        told = await enroll(simulator, course, who, **words)
        mail = await simulator.json("/_simulator/mail")
        return told.json()["enrollment_state"], [(m["kind"], m["sent"], m["why"]) for m in mail]

    return simulated(talk, settings)


@pytest.mark.parametrize(
    ("course", "who", "words", "state", "mail"),
    [
        (PUBLISHED, "newcomer", {}, "invited", [("invitation", True, "sent")]),
        (PUBLISHED, "newcomer", {"enrollment_state": "active"}, "active", [("notification", True, "sent")]),
        (PUBLISHED, "newcomer", {"enrollment_state": "inactive"}, "inactive", []),
        (PUBLISHED, "newcomer", {"notify": False}, "invited", []),
        (PUBLISHED, "unregistered", {}, "invited", [("registration", True, "sent")]),
        (PUBLISHED, "observer", {"type": OBSERVER}, "active", []),
        (PUBLISHED, "observer", {"type": OBSERVER, "enrollment_state": "invited"}, "invited", []),
        (PUBLISHED, "unregistered_observer", {"type": OBSERVER}, "invited", [("registration", True, "sent")]),
        (PUBLISHED, "bouncing", {}, "invited", [("invitation", False, "no active e-mail channel")]),
        (PUBLISHED, "unconfirmed", {}, "invited", [("invitation", False, "no active e-mail channel")]),
        (PUBLISHED, "no_email", {}, "invited", [("invitation", False, "no active e-mail channel")]),
        (PUBLISHED, "retired_channels", {}, "invited", [("invitation", False, "no active e-mail channel")]),
        (UNPUBLISHED, "newcomer", {}, "creation_pending", []),
        (UNPUBLISHED, "newcomer", {"enrollment_state": "invited"}, "creation_pending", []),
        (UNPUBLISHED, "newcomer", {"type": "TeacherEnrollment"}, "invited", [("invitation", True, "sent")]),
        (FUTURE_HIDDEN, "newcomer", {"enrollment_state": "active"}, "active", []),
    ],
)
def test_state_and_mail(course: int, who: str, words: dict[str, Any], state: str, mail: list[tuple[str, bool, str]]) -> None:
    """What a POST stores and which message it makes, for each condition of facts section 6."""
    assert enrolled(course, who, **words) == (state, mail)


def test_no_mail_from_test_and_beta() -> None:
    """On test and beta a message is made and not sent."""
    for name in ("test", "beta"):
        assert enrolled(PUBLISHED, "newcomer", profile(name))[1] == [("invitation", False, "this instance sends no mail")]


def test_repeated_post_sends_nothing() -> None:
    """Posting an invited or an active enrolment again changes nothing and makes no message."""

    async def talk(simulator: Simulated) -> tuple[int, int]:
        first = await enroll(simulator, PUBLISHED, "newcomer")
        second = await enroll(simulator, PUBLISHED, "newcomer")
        return len(await simulator.json("/_simulator/mail")), second.json()["id"] - first.json()["id"]

    assert simulated(talk) == (1, 0)


@pytest.mark.parametrize(
    ("task", "state"),
    [
        ("?task=inactivate", "inactive"),
        ("?task=deactivate", "inactive"),
        ("?task=delete", "deleted"),
        ("?task=conclude", "completed"),
        ("", "completed"),
        ("?task=inactivte", "completed"),
    ],
)
def test_delete_tasks(task: str, state: str) -> None:
    """DELETE does what its task says; an unknown task silently concludes."""

    async def talk(simulator: Simulated) -> str:
        return str((await simulator.client.delete(f"/api/v1/courses/1/enrollments/2{task}")).json()["enrollment_state"])

    assert simulated(talk) == state


def test_deleted_is_gone_and_revives() -> None:
    """A deleted enrolment is 404 on a second DELETE, and a new POST revives it under its id and notifies again."""

    async def talk(simulator: Simulated) -> tuple[int, bool, str, int]:
        made = (await enroll(simulator, PUBLISHED, "newcomer")).json()["id"]
        path = f"/api/v1/courses/{PUBLISHED}/enrollments/{made}"
        await simulator.client.delete(f"{path}?task=delete")
        again = await simulator.client.delete(f"{path}?task=delete")
        revived = (await enroll(simulator, PUBLISHED, "newcomer")).json()
        return again.status_code, revived["id"] == made, revived["enrollment_state"], len(simulator.world.outbox)

    assert simulated(talk) == (404, True, "invited", 2)


def test_reactivate_only_from_inactive() -> None:
    """Reactivate works once, from inactive; then it is a 400."""

    async def talk(simulator: Simulated) -> tuple[str, int, dict[str, str]]:
        path = "/api/v1/courses/1/enrollments/2"
        await simulator.client.request("DELETE", path, data={"task": "inactivate"})
        first = await simulator.client.put(f"{path}/reactivate")
        second = await simulator.client.put(f"{path}/reactivate")
        return first.json()["enrollment_state"], second.status_code, second.json()

    assert simulated(talk) == ("active", 400, {"error": "enrollment not inactive"})


def test_filters() -> None:
    """state[], type[] and user_id filter; without state[] what has ended is left out; other users' unknown states match nothing."""
    every = "&".join(f"state[]={s}" for s in ("active", "invited", "creation_pending", "inactive", "completed", "rejected", "deleted"))
    all_, listed, observers, one, section = answers(
        f"/api/v1/courses/2/enrollments?per_page=100&{every}",
        "/api/v1/courses/2/enrollments?per_page=100",
        "/api/v1/courses/2/enrollments?type[]=ObserverEnrollment",
        "/api/v1/courses/2/enrollments?user_id=1",
        "/api/v1/sections/21/enrollments?per_page=100",
    )
    assert {e["enrollment_state"] for e in all_.json()} == set(every.replace("state[]=", "").split("&"))
    assert len(all_.json()) - len(listed.json()) == 3
    assert [(e["user_id"], e["associated_user_id"]) for e in observers.json()] == [(CHARACTERS["observer"], 2)]
    assert [e["type"] for e in one.json()] == ["TeacherEnrollment"]
    assert section.json() == listed.json()


def test_own_enrollments_refuse_unknown_states() -> None:
    """A user's own enrolments with an unknown state are 400; synthetic states work."""
    unknown, current = answers(
        "/api/v1/users/self/enrollments?state[]=gone", "/api/v1/users/self/enrollments?state[]=current_and_concluded&per_page=100"
    )
    assert (unknown.status_code, unknown.json()) == (400, {"error": "Invalid state gone"})
    assert len(current.json()) == 26


@pytest.mark.parametrize(
    ("course", "form", "status", "message"),
    [
        (PUBLISHED, {}, 400, "No parameters given"),
        (PUBLISHED, {"enrollment[type]": STUDENT}, 400, "Can't create an enrollment without a user."),
        (PUBLISHED, {"enrollment[user_id]": "2", "enrollment[type]": "student"}, 400, "Invalid type"),
        (CONCLUDED, {"enrollment[user_id]": "2"}, 400, "Can't add an enrollment to a concluded course."),
        (PUBLISHED, {"enrollment[user_id]": "99999"}, 404, "The specified resource does not exist."),
        (PUBLISHED, {"enrollment[user_id]": "2", "enrollment[course_section_id]": "11"}, 404, "The specified resource does not exist."),
        (99, {"enrollment[user_id]": "2"}, 404, "The specified resource does not exist."),
    ],
)
def test_wrong_posts(course: int, form: dict[str, str], status: int, message: str) -> None:
    """Wrong POSTs fail in Canvas's words; forms are read as JSON is."""

    async def talk(simulator: Simulated) -> httpx.Response:
        return await simulator.client.post(f"/api/v1/courses/{course}/enrollments", data=form)

    told = simulated(talk)
    assert told.status_code == status
    assert message in told.text


def test_section_post_and_accept() -> None:
    """A POST to a section enrols there; only the invited user accepts."""

    async def talk(simulator: Simulated) -> tuple[Any, ...]:
        newcomer = CHARACTERS["newcomer"]
        made = (await simulator.client.post(f"/api/v1/sections/12/enrollments?enrollment[user_id]={newcomer}")).json()
        path = f"/api/v1/courses/1/enrollments/{made['id']}/accept"
        stranger = await simulator.client.post(path)
        invited = await simulator.client.post(f"{path}?as_user_id={newcomer}")
        again = await simulator.client.post(f"{path}?as_user_id={newcomer}")
        now = await simulator.json(f"/api/v1/accounts/1/enrollments/{made['id']}")
        return made["course_section_id"], stranger.status_code, invited.status_code, again.status_code, now["enrollment_state"]

    assert simulated(talk) == (12, 401, 200, 400, "active")


def test_unknown_enrollment_is_missing() -> None:
    """An enrolment of no number, or of another course, is 404."""
    assert [a.status_code for a in answers("/api/v1/accounts/1/enrollments/x", "/api/v1/accounts/1/enrollments/99999")] == [404, 404]
    assert answer("/api/v1/sections/99/enrollments").status_code == 404
