"""Users, their logins, channels and observees; the account with its terms and users."""

from __future__ import annotations

from typing import Any

from probes.simulator import documents, replies
from probes.simulator.asks import Ask, Route
from probes.simulator.paging import Sizes
from probes.simulator.replies import Reply, StopError
from probes.simulator.school import ROOT_ACCOUNT_ID

ACCOUNTS = {1: "Simulated School", 2: "Faculty of Arts", 3: "Faculty of Sciences"}
REGISTRATIONS = Sizes(15, 100)


def self_(ask: Ask) -> Reply:
    """Who the token belongs to."""
    return replies.as_json(documents.profile(ask.school, ask.asker))


def user(ask: Ask) -> Reply:
    """One user."""
    return replies.as_json(documents.user(ask.school, ask.some_person(ask.ids["id"])))


def logins(ask: Ask) -> Reply:
    """Logins of a user: none means never registered."""
    return ask.page(documents.login(ask.some_person(ask.ids["id"])))


def channels(ask: Ask) -> Reply:
    """Channels of a user; retired ones are left out."""
    shown = [c for c in ask.some_person(ask.ids["id"]).channels if c.state != "retired"]
    return ask.page(list(enumerate(shown, 1)), lambda pair: documents.channel(ask.school, pair[1], pair[0]))


def observees(ask: Ask) -> Reply:
    """Whom a user observes."""
    observed = [ask.school.people[i] for i in ask.some_person(ask.ids["id"]).observes if i in ask.school.people]
    return ask.page(observed, lambda person: documents.user(ask.school, person))


def account_id(ask: Ask) -> int:
    """The account of the route, `self` being the root; ends the request when there is none."""
    text = ask.ids.get("id", "self")
    number = ROOT_ACCOUNT_ID if text == "self" else ask.number()
    if number not in ACCOUNTS:
        raise StopError(replies.missing())
    return number


def accounts(ask: Ask) -> Reply:
    """Accounts that the user may administer."""
    return ask.page(list(ACCOUNTS), lambda number: documents.account(number, ACCOUNTS[number]))


def account(ask: Ask) -> Reply:
    """One account."""
    number = account_id(ask)
    return replies.as_json(documents.account(number, ACCOUNTS[number]))


def terms(ask: Ask) -> Reply:
    """Terms, in their envelope."""
    account_id(ask)
    return ask.page(list(ask.school.terms.values()), lambda t: documents.term(ask.school, t), envelope="enrollment_terms")


def account_users(ask: Ask) -> Reply:
    """All users of the account, found by part of their name with `search_term`."""
    account_id(ask)
    wanted = (ask.one("search_term") or "").lower()
    people = [p for p in ask.school.people.values() if wanted in p.name.lower() or wanted == p.login]
    return ask.page(people, lambda person: documents.user(ask.school, person))


def account_courses(ask: Ask) -> Reply:
    """All courses of the account."""
    account_id(ask)
    now_s = ask.world.now_s()
    includes = set(ask.all("include"))
    return ask.page(list(ask.school.courses.values()), lambda c: documents.course(ask.school, c, [], includes, now_s))


def registrations(ask: Ask) -> Reply:
    """LTI registrations: 15 by default, with the total in the body."""
    account_id(ask)
    reply = ask.page(range(1, 41), lambda n: {"id": n, "name": f"Tool {n}"}, REGISTRATIONS, envelope="data")
    reply.body = b'{"total":40,' + reply.body[1:]
    return reply


def custom_data(ask: Ask) -> Reply:
    """Custom data of a user under a scope and a name space: written, read, deleted (`CustomDataController`)."""
    person = ask.some_person(ask.ids["id"])
    space = ask.word("ns")
    if space is None:
        return replies.bad_request("invalid namespace")
    store: dict[tuple[int, str, str], Any] = ask.school.custom_data
    key = (person.id, space, ask.ids["scope"])
    if ask.method == "PUT":
        store[key] = ask.word("data")
        return replies.as_json({"data": store[key]})
    if key not in store:
        return replies.bad_request("no data for scope")
    value = store.pop(key) if ask.method == "DELETE" else store[key]
    return replies.as_json({"data": value})


ROUTES = (
    Route("GET", "/api/v1/users/self", self_),
    Route("GET", "/api/v1/users/:id", user),
    Route("GET", "/api/v1/users/:id/profile", user),
    Route("GET", "/api/v1/users/:id/logins", logins, is_list=True),
    Route("GET", "/api/v1/users/:id/communication_channels", channels, is_list=True),
    Route("GET", "/api/v1/users/:id/observees", observees, is_list=True),
    Route("GET", "/api/v1/users/:id/custom_data/:scope", custom_data),
    Route("PUT", "/api/v1/users/:id/custom_data/:scope", custom_data),
    Route("DELETE", "/api/v1/users/:id/custom_data/:scope", custom_data),
    Route("GET", "/api/v1/accounts", accounts, is_list=True),
    Route("GET", "/api/v1/accounts/:id", account),
    Route("GET", "/api/v1/accounts/:id/terms", terms, is_list=True),
    Route("GET", "/api/v1/accounts/:id/users", account_users, is_list=True),
    Route("GET", "/api/v1/accounts/:id/courses", account_courses, is_list=True),
    Route("GET", "/api/v1/accounts/:id/lti_registrations", registrations, is_list=True),
)
