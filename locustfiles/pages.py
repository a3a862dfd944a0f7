"""Walks lists page after page, following `rel=next`: `--call 'GET /api/v1/courses?per_page=10'`."""

from __future__ import annotations

from _settings import LoadSettings
from _users import ProbeUser, install
from _work import Walk, Work


def walk(settings: LoadSettings) -> Work:
    """The pages of the lists that the calls begin."""
    return Walk(settings.calls, settings.instance.url)


install("pages", walk)


class Pages(ProbeUser):
    """Takes the next due time."""
