"""What is wrong with a URL or a curl line, what the answer's header fields mean, and which URL is right. Nothing is sent here."""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from probes.addresses import without_secrets
from probes.errors import UsageError
from probes.explain import bodies, credentials, filters, paths, rules, writing
from probes.explain.headers import HeaderLine, header_lines, status_means
from probes.explain.lists import is_list, is_single, list_facts
from probes.explain.paste import read
from probes.explain.questions import QUESTIONS, Question, this_term
from probes.explain.request import Request
from probes.explain.rules import Remark, Rule, Weight
from probes.explain.snippets import link_snippets, plain_call

if TYPE_CHECKING:
    from probes.observation import Observation

SCHEMA = "probes.explain/1"
ANY_HOST = "https://YOUR-SCHOOL.instructure.com"

LONG_WORD = re.compile(r"(\S{60})\S{60,}")
"""Words of a remark that repeat what was given at a length that nobody reads."""

RULES: tuple[Rule, ...] = (
    writing.within,
    writing.variable_host,
    writing.unquoted,
    writing.escaped_twice,
    writing.blanks,
    rules.html_ampersands,
    rules.query_mark,
    paths.placeholder,
    paths.slashes,
    paths.capitals,
    paths.version,
    paths.not_api,
    paths.nothing_asked,
    paths.slash_in_id,
    paths.names,
    paths.acting_as,
    rules.plain_http,
    credentials.authorization,
    credentials.token_in_url,
    rules.by_post,
    bodies.enrollment_by_get,
    bodies.list_by_post,
    credentials.secret_in_url,
    rules.user_agent,
    rules.insecure,
    rules.size_name,
    filters.needless_brackets,
    filters.type_name,
    filters.brackets,
    filters.enrollment_type,
    filters.enrollment_class,
    filters.new_enrollment_type,
    filters.course_states,
    filters.active_only,
    filters.enrollment_states,
    filters.includes,
    rules.page_size,
    rules.page_number,
    rules.task,
    bodies.form,
    bodies.enrollment,
    bodies.import_file,
    rules.writes,
)
"""In this order: the first ones mend the path and the query that the later ones read."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What came back when it was asked: one sentence on the status, the header fields, their meaning."""

    observation: Observation
    means: str
    lines: tuple[HeaderLine, ...]

    def document(self) -> dict[str, Any]:
        """As JSON carries it."""
        one = self.observation
        return {
            "instance": one.instance,
            "path": one.path,
            "status": one.status,
            "outcome": one.outcome.value,
            "means": self.means,
            "headers": [line.document() for line in self.lines],
        }


@dataclass(frozen=True, slots=True)
class Explanation:
    """The request as given, remarks on it, the right one; or a question's URLs. `seen` is filled by who asked a server."""

    given: Request | None
    right: Request | None
    remarks: tuple[Remark, ...] = ()
    question: Question | None = None
    origin: str = ""
    seen: Seen | None = None
    facts: tuple[str, ...] = field(default=())

    @property
    def urls(self) -> list[str]:
        """The right URL, or the question's; none where its author has to choose something first."""
        if self.question is not None:
            return [self.origin + path for path in self.question.paths]
        return [] if self.right is None or self.right.first else [without_secrets(self.right.url)]

    @property
    def read(self) -> str | None:
        """The URL that may be read: none of a call that writes."""
        return self.urls[0] if self.urls and (self.right is None or self.right.reads) else None

    @property
    def paged(self) -> str | None:
        """The URL whose pages may be read: none of a single object, of a page or of a call that writes."""
        return None if self.read is None or is_single(Request(path=urlsplit(self.read).path).segments) else self.read

    def document(self) -> dict[str, Any]:
        """`probes.explain/1`."""
        given = self.given
        return {
            "schema": SCHEMA,
            "given": None if given is None else {"method": given.method, "url": without_secrets(given.url)},
            "wrong": [remark.document() for remark in self.remarks],
            "right": self.urls,
            "facts": list(self.facts),
            "question": None if self.question is None else self.question.document(self.origin),
            "answer": None if self.seen is None else self.seen.document(),
            "see_link_header": {} if self.paged is None else link_snippets(self.paged),
        }


def explain(text: str, origin: str = "") -> Explanation:
    """The explanation of a URL, a path or a curl line; `origin` stands in where it names no host. Raises UsageError when it is none."""
    given = read(text)
    right = copy.deepcopy(given)
    remarks = tuple(_shown(remark) for rule in RULES for remark in rule(right))
    right.origin = right.origin or origin or ANY_HOST
    return Explanation(given, right, remarks, origin=right.origin, facts=_list_facts(right))


def _shown(remark: Remark) -> Remark:
    """The remark as it may be told: without secrets, and without more of a long word than tells which it is."""
    says, advice = (LONG_WORD.sub(r"\1...", without_secrets(text)) for text in (remark.says, remark.advice))
    return dataclasses.replace(remark, says=says, advice=advice)


def answer_question(name: str, term: str = "all", origin: str = "") -> Explanation:
    """The URLs for a question of the list; `term` is all or current. Raises UsageError for another one."""
    found = next((question for question in QUESTIONS if question.name == name), None)
    if found is None:
        raise UsageError(f"There is no question '{name}': known are {', '.join(question.name for question in QUESTIONS)}.")
    if term not in ("all", "current"):
        raise UsageError(f"--term {term}: use all or current.")
    narrowed = this_term(found) if term == "current" and "courses" in name else found
    return Explanation(None, None, question=narrowed, origin=origin or ANY_HOST)


def seen(observation: Observation, headers: Mapping[str, str], url: str) -> Seen:
    """What an answer says, in words."""
    means = status_means(observation.status, observation.outcome, page=bool(observation.facts.get("html")))
    if observation.error:
        means = f"{means} ({observation.error})"
    return Seen(observation, means, tuple(header_lines(headers, url)))


def _list_facts(request: Request) -> tuple[str, ...]:
    if not (request.reads and is_list(request.segments)):
        return ()
    facts = list_facts(request.segments)
    paging = (
        'by bookmarks: follow rel="next", there are no page numbers'
        if facts.bookmarks
        else 'by numbered pages: follow rel="next" until there is none'
    )
    last = "" if facts.has_last else '; it has no rel="last", the total is not told'
    return (f"This is a list: {facts.default} items a page unless per_page says more, {facts.greatest} at most; it pages {paging}{last}.",)


def told(explanation: Explanation, *, snippets: bool = True) -> str:
    """The explanation for a person."""
    lines: list[str] = []
    if explanation.given is not None:
        lines += [f"{explanation.given.method} {without_secrets(explanation.given.url)}", ""]
        lines += _remarks(explanation.remarks, "what was read" if explanation.given.within else "it")
    if explanation.question is not None:
        lines += [explanation.question.asks, ""]
    lines += _urls(explanation.urls, _method(explanation), "" if explanation.right is None else explanation.right.first)
    lines += [f"  {fact}" for fact in explanation.facts]
    if explanation.question is not None:
        lines += [*(f"  keep where {rule}" for rule in explanation.question.keep), *(f"  {note}" for note in explanation.question.notes)]
    if explanation.seen is not None:
        lines += ["", *_seen(explanation.seen)]
    if snippets and explanation.paged is not None:
        lines += ["", *_snippets(explanation.paged)]
    elif snippets and explanation.read is not None:
        lines += ["", "How to ask for it:", "", f"    {plain_call(explanation.read)}"]
    return "\n".join(lines)


def _method(explanation: Explanation) -> str:
    """The right method where it is not the one that was given."""
    given, right = explanation.given, explanation.right
    return "" if given is None or right is None or given.method == right.method else f", by {right.method}"


def _urls(urls: Sequence[str], by: str, first: str) -> list[str]:
    if not urls:
        return [f"There is no right URL until you have {first}."]
    return [f"The right URL{by}:" if len(urls) == 1 else "The right URLs:", *(f"  {url}" for url in urls)]


def _remarks(remarks: Sequence[Remark], what: str) -> list[str]:
    wrong, notes = ([one for one in remarks if (one.weight is Weight.INFO) is info] for info in (False, True))
    lines = ["What is wrong with it:", *_listed(wrong), ""] if wrong else [f"Nothing is wrong with {what}.", ""]
    return [*lines, *(["Note:", *_listed(notes), ""] if notes else [])]


def _listed(remarks: Sequence[Remark]) -> list[str]:
    return [line for one in remarks for line in (f"- {one.says}", *([f"  {one.advice}"] if one.advice else []))]


def _seen(found: Seen) -> list[str]:
    asked = found.observation
    lines = [f"Asked {asked.instance} for the right URL, {asked.method} {asked.path}: {found.means}"]
    for line in found.lines:
        lines += [f"  {line.name}: {line.value}", f"      {line.means}"]
    return lines


def _snippets(url: str) -> list[str]:
    lines = ["How to see the Link header:"]
    for tool, text in link_snippets(url).items():
        lines += ["", f"  {tool}", *(f"    {line}" for line in text.splitlines())]
    return lines
