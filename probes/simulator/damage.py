"""Faults on a finished answer: wrong headers, wrong links, wrong body."""

from __future__ import annotations

import re

from probes.simulator import replies
from probes.simulator.asks import Ask
from probes.simulator.replies import Reply

REMAINING = "x-rate-limit-remaining"
QUOTA = ("x-request-cost", REMAINING)
FOREIGN = "https://elsewhere.example"
JUMP = 600.0
NEXT = re.compile(r'<([^>]*)>; rel="next"')


def damage(reply: Reply, ask: Ask) -> Reply:
    """`reply` after all faults that struck its request."""
    if not ask.faults:
        return reply
    reply = _replaced(reply, ask)
    _headers(reply, ask)
    if "link" in reply.headers:
        _links(reply, ask)
    return reply


def _replaced(reply: Reply, ask: Ask) -> Reply:
    if "redirect" in ask.faults:
        target = ask.faults["redirect"].text or FOREIGN + ask.path
        return Reply(302, b"", {**reply.headers, "location": target})
    if "html" in ask.faults:
        page = replies.web_page()
        return Reply(200, page.body, {**reply.headers, **page.headers})
    if "not_json" in ask.faults:
        reply.body = b'[{"id": 1, "na'
    return reply


def _headers(reply: Reply, ask: Ask) -> None:
    headers = reply.headers
    jump = ask.faults.get("remaining_jump")
    if jump is not None and REMAINING in headers:
        headers[REMAINING] = str(float(headers[REMAINING]) + (jump.number or JUMP))
    for kind, fault in ask.faults.items():
        if kind.startswith("header "):
            name = fault.header.lower()
            headers[name] = fault.text
            if not fault.text:
                del headers[name]
    if "no_quota_headers" in ask.faults:
        for name in QUOTA:
            headers.pop(name, None)


def _links(reply: Reply, ask: Ask) -> None:
    link, faults = reply.headers["link"], ask.faults
    here = f"{ask.base_url}{ask.path}" + (f"?{ask.query}" if ask.query else "")
    if "next_self" in faults:
        link = _with_next(link, here)
    if "next_foreign" in faults:
        link = _with_next(link, faults["next_foreign"].text or f"{FOREIGN}{ask.path}?page=2&per_page=10")
    if "next_corrupt" in faults:
        link = re.sub(r"page=bookmark:[^&>]*(?=[^>]*>; rel=\"next\")", "page=bookmark:%21%21", link)
    if "next_malformed" in faults:
        link = link.replace("<", "").replace(">;", " ;;").replace('"next"', '"next')
    reply.headers["link"] = link


def _with_next(link: str, url: str) -> str:
    if NEXT.search(link):
        return NEXT.sub(lambda _: f'<{url}>; rel="next"', link)
    return f'{link},<{url}>; rel="next"'
