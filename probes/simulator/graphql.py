"""`POST /api/graphql`: errors come with status 200 (`GraphQLController#execute`). No schema is simulated but the name of its root."""

from __future__ import annotations

import re
from typing import Any

from probes.simulator import replies
from probes.simulator.asks import Ask, Route
from probes.simulator.replies import Reply

PATH = "/api/graphql"
NAMED = re.compile(r"\s*(?:query\s*(\w+)?\s*(?:\([^)]*\))?\s*)?\{\s*(\w+)")


def execute(ask: Ask) -> Reply:
    """`{ __typename }` is answered, any other field is an error in a body of status 200; `ge` of X-Canvas-Meta tells which."""
    found = NAMED.match(ask.word("query") or "")
    good = found is not None and found[2] == "__typename"
    name = ask.word("operationName") or (found[1] if found else None)
    ask.marks += [f"ge={'t' if good else 'f'}", *([f"on={name}"] if name else [])]
    return replies.as_json({"data": {"__typename": "Query"}} if good else {"errors": [_error(found)]})


def _error(found: re.Match[str] | None) -> dict[str, Any]:
    if found is None:
        return {"message": "No query string was present"}
    return {"message": f"Field '{found[2]}' doesn't exist on type 'Query'", "path": ["query", found[2]]}


ROUTES = (Route("POST", PATH, execute),)
