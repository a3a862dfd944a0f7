"""SIS imports, Progress, and the few open routes: health, readiness, token grants, error reports."""

from __future__ import annotations

from typing import Any

from probes.simulator import replies
from probes.simulator.asks import Ask, Route
from probes.simulator.imports import Job, SisImport
from probes.simulator.paging import Sizes
from probes.simulator.replies import Reply, StopError
from probes.simulator.routes_users import account_id
from probes.simulator.school import ROOT_ACCOUNT_ID

NO_TOTAL = Sizes(total=False)


def import_document(ask: Ask, record: SisImport) -> dict[str, Any]:
    """An import; `started_at` is returned though the documentation does not name it."""
    now_s = ask.world.now_s()
    school = ask.school
    state = record.state(now_s)
    ended_s = record.aborted_s if state == "aborted" else record.ended_s
    begun, over = now_s >= record.started_s and state != "aborted", state not in ("initializing", "created", "importing")
    person = school.people.get(record.user_id, ask.asker)
    document: dict[str, Any] = {
        "id": record.id,
        "created_at": school.iso(record.created_s),
        "started_at": school.iso(record.started_s) if begun else None,
        "ended_at": school.iso(ended_s) if over else None,
        "updated_at": school.iso(ended_s if over else max(record.created_s, min(now_s, record.started_s))),
        "progress": record.progress(now_s),
        "workflow_state": state,
        "data": {
            "import_type": "instructure_csv",
            "supplied_batches": ["user", "enrollment"],
            "counts": {"users": record.rows // 10, "enrollments": record.rows},
        },
        "batch_mode": False,
        "errors_attachment": None,
        "user": {"id": person.id, "name": person.name},
    }
    if over and state.endswith("_with_messages"):
        document["processing_warnings"] = [["users.csv", "user 17 has no login"]]
    return document


def imports(ask: Ask) -> Reply:
    """Imports, newest first; no total, so no `last`."""
    _sis_account(ask)
    now_s = ask.world.now_s()
    states = set(ask.all("workflow_state"))
    newest = [i for i in reversed(ask.world.imports.imports) if not states or i.state(now_s) in states]
    return ask.page(newest, lambda record: import_document(ask, record), NO_TOTAL, envelope="sis_imports")


def importing(ask: Ask) -> Reply:
    """Those at work now, not paged."""
    _sis_account(ask)
    now_s = ask.world.now_s()
    current = [i for i in ask.world.imports.imports if i.state(now_s) == "importing"]
    return replies.as_json({"sis_imports": [import_document(ask, record) for record in current]})


def one_import(ask: Ask) -> Reply:
    """One import."""
    return replies.as_json(import_document(ask, _import(ask)))


def create_import(ask: Ask) -> Reply:
    """A new import, behind all others."""
    _sis_account(ask)
    return replies.as_json(import_document(ask, ask.world.imports.create(ask.asker.id, ask.world.now_s())))


def abort_import(ask: Ask) -> Reply:
    """Stops an import."""
    record = _import(ask)
    ask.world.imports.abort(record, ask.world.now_s())
    return replies.as_json(import_document(ask, record))


def _sis_account(ask: Ask) -> None:
    if account_id(ask) != ROOT_ACCOUNT_ID:
        raise StopError(replies.as_json({"errors": ["SIS imports can only be executed on root accounts"]}, 400))
    if not ask.world.settings.sis_imports:
        raise StopError(replies.as_json({"errors": ["SIS imports are not enabled for this account"]}, 403))


def _import(ask: Ask) -> SisImport:
    _sis_account(ask)
    found = next((i for i in ask.world.imports.imports if i.id == ask.number("import")), None)
    if found is None:
        raise StopError(replies.missing())
    return found


def progress_document(ask: Ask, job: Job) -> dict[str, Any]:
    """A Progress: no start and no end time."""
    now_s = ask.world.now_s()
    state = job.state(now_s)
    document: dict[str, Any] = {
        "id": job.id,
        "context_id": job.context_id,
        "context_type": job.context_type,
        "user_id": job.user_id,
        "tag": job.tag,
        "completion": job.completion(now_s),
        "workflow_state": state,
        "created_at": ask.school.iso(job.created_s),
        "updated_at": ask.school.iso(job.updated_s(now_s)),
        "message": "Unexpected error, ID: 4711" if state == "failed" else None,
        "url": f"{ask.base_url}/api/v1/progress/{job.id}",
    }
    if state in ("completed", "failed"):
        document["results"] = {}
    return document


def progress(ask: Ask) -> Reply:
    """One Progress."""
    return replies.as_json(progress_document(ask, _job(ask)))


def cancel(ask: Ask) -> Reply:
    """Cancels a job: it reads failed afterwards."""
    job = _job(ask)
    if job.state(ask.world.now_s()) in ("queued", "running") and job.fixed is None:
        job.canceled_s = ask.world.now_s()
    return replies.as_json(progress_document(ask, job))


def _job(ask: Ask) -> Job:
    found = ask.world.jobs.jobs.get(ask.number())
    if found is None:
        raise StopError(replies.missing())
    return found


def link_validation(ask: Ask) -> Reply:
    """Starts, or shows, the validation of a course's links: the harmless job of the background queue."""
    course = ask.course()
    jobs = ask.world.jobs
    found = next((j for j in reversed(jobs.jobs.values()) if j.tag == "link_validation" and j.context_id == course.id), None)
    if ask.method == "POST":
        found = jobs.create("link_validation", "Course", course.id, ask.asker.id, ask.world.now_s())
    return replies.as_json({} if found is None else progress_document(ask, found))


def bulk_enrollment(ask: Ask) -> Reply:
    """Enrols many users in the background."""
    job = ask.world.jobs.create("bulk_enrollment", "Account", account_id(ask), ask.asker.id, ask.world.now_s())
    return replies.as_json(progress_document(ask, job))


def health(ask: Ask) -> Reply:
    """Liveness and revision, for anybody."""
    settings = ask.world.settings
    urls = {"common_css": "/dist/brandable_css/common.css", "common_js": "/dist/javascripts/common.js", "revved_url": "/dist/revved"}
    uuid = f"simulated-{settings.name}-{settings.seed}"
    return replies.as_json({"status": "canvas ok", "asset_urls": urls, "revision": settings.revision, "installation_uuid": uuid})


def readiness(ask: Ask) -> Reply:
    """The components, for anybody."""
    names = ("common_css", "common_js", "consul", "filesystem", "jobs", "postgresql", "ha_cache", "rich_content_service", "vault")
    parts = [{"name": name, "status": 200, "response_time_ms": 1.0 + place} for place, name in enumerate(names)]
    return replies.as_json({"status": 200, "components": parts, "name": ask.world.settings.name})


def grant(ask: Ask) -> Reply:
    """A token grant, charged 200 on top; the simulator grants none."""
    del ask
    return replies.as_json({"error": "invalid_client", "error_description": "unknown client"}, 401)


def error_report(ask: Ask) -> Reply:
    """An error report, charged 200 on top."""
    del ask
    return replies.as_json({"logged": True, "id": 4711})


ROUTES = (
    Route("GET", "/api/v1/accounts/:id/sis_imports", imports, is_list=True),
    Route("POST", "/api/v1/accounts/:id/sis_imports", create_import),
    Route("GET", "/api/v1/accounts/:id/sis_imports/importing", importing),
    Route("GET", "/api/v1/accounts/:id/sis_imports/:import", one_import),
    Route("PUT", "/api/v1/accounts/:id/sis_imports/:import/abort", abort_import),
    Route("POST", "/api/v1/accounts/:id/bulk_enrollment", bulk_enrollment),
    Route("GET", "/api/v1/progress/:id", progress),
    Route("POST", "/api/v1/progress/:id/cancel", cancel),
    Route("GET", "/api/v1/courses/:id/link_validation", link_validation),
    Route("POST", "/api/v1/courses/:id/link_validation", link_validation),
    Route("GET", "/health_check.json", health, open=True),
    Route("GET", "/health_check", health, open=True),
    Route("GET", "/readiness", readiness, open=True),
    Route("POST", "/login/oauth2/token", grant, open=True),
    Route("POST", "/error_reports", error_report, open=True),
)
