"""A request inside a program or a document: strings that are put together there, and the parameters beside its URL.

Nothing is run. A string's pieces are joined where a program would join them, a variable whose text stands in the program is replaced by it,
and any other is written `{name}`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice
from urllib.parse import urlencode, urlsplit

from probes.errors import UsageError
from probes.explain.request import Pairs, Request, with_url

NO_URL = "This is no URL and no curl line: give one, in quotes."
VERB = r"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)"
URL = re.compile(
    r"(?:https?://|(?:\{\{\w+\}\}|(?<=[\"'`])\$?\{\w+\})/|/?\bapi/v\d)(?:\$?\{+[^{}\s\"']*\}+|\[\w*\]|[^\s\"'<>\\()\[\]{}|^`])*"
)
_PROGRAM_VERB = re.compile(
    rf"(?:\.|::|-Method\s+|--method=|-X\s+|\bmethod[\"']?\s*[:=]\s*[\"']?|^\s*(?:https?|xh)\s+){VERB}\b|(?<!\w){VERB}\(", re.IGNORECASE
)
_STRING = r"[fFrRbBuU$@]{0,2}(?:\"[^\"\n]*\"|'[^'\n]*'|`[^`\n]*`)"
_NAMED = r"(?<![\w.$])[A-Za-z_$][\w.$]{0,80}(?![\w.$])(?:\((?:[^()\n\"']|\([^()\n\"']*\))*\)|\[[^\[\]\n]*\])?"
_PIECE = rf"(?:{_STRING}|{_NAMED})"
_CHAIN = re.compile(rf"{_PIECE}(?:\s*(?:&|\+|\.\.|\|\|)\s*{_PIECE})+")
"""`"a" & B & "c"`, `"a" + str(b)`: strings put together by an operator."""
_JOINING_CALL = re.compile(
    rf"\b(?:paste0?|str_c|file\.path|CONCAT(?:ENATE)?)\(\s*({_PIECE}(?:\s*,\s*(?:sep\s*=\s*)?{_PIECE})*)\s*\)", re.IGNORECASE
)
"""The same by a call; all that is made of URLs is joined without a blank."""
_SEPARATOR = re.compile(rf",\s*sep\s*=\s*{_STRING}")
_ASSIGNED = re.compile(r"(?<![\w.])([A-Za-z_][\w.]{0,80})\s*(?:=|<-|:=)\s*[fFrRuU$@]{0,2}([\"'`])((?:https?://|/api\b)[^\"'`\s]*)\2")
_ROUNDS = 3
"""A URL may be made of a variable that was made of another one, hardly deeper."""
_MOST_NAMES = 100
"""Variables looked for: a text with more of them is no line that somebody copied."""
_PARAMETERS = re.compile(
    r"(?:\b(?:params|query)\s*[=:]\s*(?:\{([^}]*)|(?:list|c|dict)\(((?:[^()]|c\([^()]*\))*)\)|\[((?:[^\[\]]|\[[^\[\]]*\])*)\])"
    r"|req_url_query\(((?:[^()]|c\([^()]*\))*)|-Body\s+@\{([^}]*))",
    re.IGNORECASE,
)
_TO = r"[\"'`]?\s*[:=]\s*(?:(?:c\(|list\(|\[|\{)([^\[\](){}]*)|([\"']?)([^\s\"',;=\[\](){}]+|\{\w+\}))"
_PARAMETER = re.compile(r"#?[\"'`]?([A-Za-z_][\w\[\]]*)" + _TO)
_OF_ENROLLMENT = re.compile(r"\b(enrollment\[\w+\])" + _TO)
_ENROLLMENT = re.compile(r"\benrollment[\"'`]?\s*(?:=>|=|:)\s*(?:@?\{|list\(|\[)([^{}()\[\]]*)")
_HTTPIE_PARAMETER = re.compile(r"(?<=\s)([A-Za-z_][\w\[\]]*)==(\S+)")
_WORDS = ("true", "false", "null", "none", "na")
_RELATIVE_PATH = re.compile(r"RelativePath\s*=\s*\"([^\"]*)\"|req_url_path(?:_append)?\(([^()]*)\)")


def of_program(plain: str) -> Request:
    """The request of the URL inside `plain`, with the parameters that stand beside it as far as they can be read.

    Raises UsageError where there is none.
    """
    text = put_together(plain)
    found = [match[0].rstrip(".,;:") for match in URL.finditer(text)]
    if not found:
        raise UsageError(NO_URL)
    verb = _PROGRAM_VERB.search(text)
    method = (verb[1] or verb[2]).upper() if verb else "GET"
    request = with_url(Request(method=method, text=plain, within=True), _url(text, found))
    known = {key for key, _ in request.pairs}
    request.pairs += [(key, value) for key, value in _beside(text) if key not in known]
    if not request.reads:
        request.data += [urlencode({f"enrollment[{key}]": value}) for key, value in _enrolled(text)]
    return request


def put_together(text: str) -> str:
    """`text` with its strings joined where the program joins them."""
    for _ in range(_ROUNDS):
        known = {match[1]: match[3] for match in islice(_ASSIGNED.finditer(text), _MOST_NAMES)}
        joined = _round(text, known)
        if joined == text:
            break
        text = joined
    return text


def _round(text: str, known: Mapping[str, str]) -> str:
    for name in known:
        in_a_string = rf"(?<=[\"'`])(?:[$#]?\{{\{{?{re.escape(name)}\}}\}}?|\${re.escape(name)}\b)"
        text = re.sub(in_a_string, known[name].replace("\\", r"\\"), text)
    text = _JOINING_CALL.sub(lambda match: _joined(match[0], _SEPARATOR.sub("", match[1]), known), text)
    return _CHAIN.sub(lambda match: _joined(match[0], match[0], known), text)


def _joined(whole: str, pieces: str, known: Mapping[str, str]) -> str:
    """The pieces as one string; as they were where none of them is of a path."""
    parts = re.findall(_PIECE, pieces)
    strings = [re.sub(r"^[fFrRbBuU$@]{0,2}(?=[\"'`])", "", part) for part in parts]
    if not any("/" in part for part in strings if part[0] in "\"'`") and not any(part in known for part in parts):
        return whole
    return '"' + "".join(part[1:-1] if part[0] in "\"'`" else known.get(part, _variable(part)) for part in strings) + '"'


def _variable(expression: str) -> str:
    """`{id}` for `Number.ToText(id)`, `str(id)`, `course.id`."""
    *_, name = re.finditer(r"[A-Za-z_]\w*", expression)
    return f"{{{name[0]}}}"


def _url(text: str, found: list[str]) -> str:
    """The URL that is asked: with the path that is given apart from it, else the first that says more than where the API is."""
    relative = [
        part
        for match in _RELATIVE_PATH.finditer(text)
        for part in ([match[1]] if match[2] is None else [_text(one) for one in match[2].split(",")])
    ]
    if relative:
        base = next((one for one in found if "://" in one), found[0])
        return "/".join([base.partition("?")[0].rstrip("/"), *(part.strip("/") for part in relative)])
    return next((one for one in found if _says_more(one)), next((one for one in found if "/api" in one), found[0]))


def _text(argument: str) -> str:
    plain = argument.strip()
    return plain[1:-1] if plain[:1] in ("'", '"') else f"{{{plain}}}"


def _says_more(url: str) -> bool:
    path = urlsplit(url).path if "://" in url else url
    return re.search(r"(?:^|/)api/(?:v\d+|[a-z]+)/[^/]", path) is not None


def _beside(text: str) -> Pairs:
    """Parameters written beside the URL: HTTPie's `name==value`, `params={...}`, `query = list(...)`, `Query=[...]`."""
    pairs: Pairs = [(key, value.strip("\"'")) for key, value in _HTTPIE_PARAMETER.findall(text)]
    for group in _PARAMETERS.findall(text):
        for key, several, quote, one in _PARAMETER.findall("".join(group)):
            values = [part.strip().strip("\"'") for part in several.split(",")] if several else [one if quote else _value(one)]
            pairs += [(key, value) for value in values if value]
    return pairs


def _enrolled(text: str) -> Pairs:
    """The parameters of an enrolment in the body that a program makes: of an object `enrollment`, or by names with brackets."""
    nested = [pair for inner in _ENROLLMENT.findall(text) for pair in _PARAMETER.findall(inner)]
    keys = [(key.removeprefix("enrollment[").removesuffix("]"), quote, one) for key, _, quote, one in nested + _OF_ENROLLMENT.findall(text)]
    return [(key, one if quote else _value(one.removeprefix("$"))) for key, quote, one in keys if one]


def _value(bare: str) -> str:
    """What stands outside quotes: a number or a truth as it is, any other word is a variable."""
    return f"{{{bare}}}" if re.fullmatch(r"[A-Za-z_][\w.]*", bare) and bare.lower() not in _WORDS else bare
