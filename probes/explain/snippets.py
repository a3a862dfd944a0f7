"""How to see the Link header and read every page, from the tools that people use."""

from __future__ import annotations

_CURL = """curl -sS -D - -o /dev/null -H "Authorization: Bearer $CANVAS_API_TOKEN" '{url}'
# -D - prints the header fields, -o /dev/null drops the body; look for the line that begins with link:"""

_PLAIN = """curl -sS -i -H "Authorization: Bearer $CANVAS_API_TOKEN" '{url}'"""

_PYTHON = """import os
import requests

session = requests.Session()
session.headers["Authorization"] = "Bearer " + os.environ["CANVAS_API_TOKEN"]
session.headers["User-Agent"] = "my-school-sync/1.0 (me@school.example)"
url, items = "{url}", []
while url:
    answer = session.get(url, timeout=60)
    answer.raise_for_status()
    print(answer.headers.get("Link"))            # names are the same in any case
    page = answer.json()
    items += page if isinstance(page, list) else next(part for part in page.values() if isinstance(part, list))
    url = answer.links.get("next", {{}}).get("url")  # none on the last page"""

_R = """library(httr2)

pages <- request("{url}") |>
  req_auth_bearer_token(Sys.getenv("CANVAS_API_TOKEN")) |>
  req_user_agent("my-school-sync/1.0 (me@school.example)") |>
  req_perform_iterative(iterate_with_link_url(rel = "next"), max_reqs = Inf)
resp_header(pages[[1]], "Link")
resp_link_url(pages[[1]], "next")
items <- resps_data(pages, \\(page) resp_body_json(page))"""

_VBA = '''Dim http As Object, url As String, link As String, part As Variant
url = "{url}"
Do While url <> ""
    Set http = CreateObject("MSXML2.ServerXMLHTTP.6.0")
    http.Open "GET", url, False
    http.setRequestHeader "Authorization", "Bearer " & Environ("CANVAS_API_TOKEN")
    http.setRequestHeader "User-Agent", "my-school-sync/1.0 (me@school.example)"
    http.send
    Debug.Print http.Status, http.getResponseHeader("Link")     ' http.responseText holds this page
    link = http.getResponseHeader("Link")
    url = ""
    For Each part In Split(link, ",<")
        If InStr(LCase(part), "rel=""next""") > 0 Then
            part = Replace(part, "<", "")
            url = Left(part, InStr(part, ">") - 1)
        End If
    Next part
Loop'''

_SNIPPETS = {"curl": _CURL, "python": _PYTHON, "r": _R, "vba": _VBA}


def link_snippets(url: str) -> dict[str, str]:
    """Tool -> lines that show the Link header of `url` and, but for curl, read every page."""
    return {tool: text.format(url=url) for tool, text in _SNIPPETS.items()}


def plain_call(url: str) -> str:
    """A line that asks for `url` once and shows its header fields and its body."""
    return _PLAIN.format(url=url)
