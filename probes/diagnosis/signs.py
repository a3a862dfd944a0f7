"""What an answer shows of where it was made, and how causes tell it: counts, calls, the answer's own words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from probes.diagnosis.symptoms import Symptoms
from probes.observation import Observation
from probes.wording import plural, times

CHALLENGES = ("Just a moment", "Attention Required", "Checking your browser", "Please Wait... | Cloudflare", "DDoS-Guard")
"""How pages begin their title that let browsers through and no job."""
BARRING = (451, 511)
"""Statuses of those who bar the way: for legal reasons (RFC 7725), until one signs in to the network (RFC 6585)."""
DOWNTIME = re.compile(r"maintenance|wartung|scheduled (?:down|out)|//status\.", re.IGNORECASE)
"""How pages and addresses say that all is down on purpose."""
AT_ONCE_S = 0.2
"""Calls due within so much of one another were made together."""
LEAST_CROWDED, BY_CHANCE = 3, 0.02
"""So many refused calls show a crowd, where by chance none made alone would be among them with such odds at most."""


def share(bad: Sequence[Observation], symptoms: Symptoms) -> str:
    """How many of all requests these are."""
    return f"{len(bad)} of {len(symptoms.seen)} requests"


def by_call(bad: Sequence[Observation]) -> list[str]:
    """Which calls they were, with their status, the most frequent first."""
    seen = Counter((o.call, o.status) for o in bad).most_common(3)
    return [f"'{call}' {times(count)}, {'no status' if status is None else f'status {status}'}" for (call, status), count in seen]


def sentences(bad: Sequence[Observation]) -> list[str]:
    """What the answers themselves say, each sentence once."""
    said = Counter(str(o.facts["said"]) for o in bad if o.facts.get("said"))
    return [f"the answer says: {sentence}" for sentence, _ in said.most_common(2)]


def titles(bad: Sequence[Observation]) -> list[str]:
    """What the web pages that came call themselves."""
    titles = Counter(str(o.facts["title"]) for o in bad if o.facts.get("title"))
    return [f"the page calls itself '{title}'" for title, _ in titles.most_common(2)]


def is_barrier(o: Observation) -> bool:
    """Whether the edge wants a browser to prove itself (Cloudflare: cf-mitigated), or a law or a network's login bars the way."""
    return bool(o.facts.get("barrier")) or str(o.facts.get("title", "")).startswith(CHALLENGES) or o.status in BARRING


def is_downtime(o: Observation) -> bool:
    """Whether a web page, or the place that a call is sent on to, calls itself maintenance."""
    return any(DOWNTIME.search(str(o.facts.get(name, ""))) for name in ("title", "location"))


def of_no_application(symptoms: Symptoms, o: Observation) -> bool:
    """Whether an answer without request id was made before the application, which puts one on each of its own."""
    return symptoms.identified and o.request_id is None


def only_together(symptoms: Symptoms, bad: Sequence[Observation]) -> bool:
    """Whether such answers came to calls made together only, while as many calls made alone as would have met them did not.

    Of the last of these crowds some were served: what began and never ended is no matter of how many there are.
    """
    alone = [o for o in symptoms.seen if o.facts.get("phase") in ("self", "alone")]
    if len(bad) < LEAST_CROWDED or any(o in alone for o in bad) or any(int(o.facts.get("together", 1)) < 2 for o in bad):
        return False
    last_s = max(o.due_s for o in bad)
    if all(o in bad for o in symptoms.seen if abs(o.due_s - last_s) < AT_ONCE_S):
        return False
    most = max(int(o.facts.get("together", 1)) for o in bad)
    crowd = [o for o in symptoms.seen if o.facts.get("together") == most]
    return (1.0 - sum(o in bad for o in crowd) / len(crowd)) ** len(alone) < BY_CHANCE


def by_crowd(symptoms: Symptoms, bad: Sequence[Observation]) -> str:
    """How many of them there are by how many calls were made at once."""
    sizes = sorted({int(o.facts.get("together", 1)) for o in bad})
    counts = ", ".join(f"{sum(o.facts.get('together') == size for o in bad)} of those made {size} at once" for size in sizes)
    alone = sum(o.facts.get("phase") in ("self", "alone") for o in symptoms.seen)
    return f"they came to {counts}; to none of {plural(alone, 'call')} made alone"
