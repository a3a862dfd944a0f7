"""A Limiter before requests: an adapter to mount, so that canvasapi and everything else on requests obeys it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from requests.adapters import HTTPAdapter
from requests.exceptions import RequestException, RetryError
from urllib3.exceptions import ConnectTimeoutError, EmptyPoolError, HTTPError, MaxRetryError, NewConnectionError, ProtocolError
from urllib3.util.request import set_file_position
from urllib3.util.retry import Retry

from probes.admission import Admission

if TYPE_CHECKING:
    from probes.limiter import Limiter


class Gate(HTTPAdapter):
    """Sends through `limiter`; `options` are HTTPAdapter's. `max_retries` retry here, each with a ticket: urllib3 would pass the gate."""

    def __init__(self, limiter: Limiter, **options: Any) -> None:
        super().__init__(**options)
        self._limiter = limiter

    def __getstate__(self) -> dict[str, Any]:
        """As of any adapter, with what is its own: copies share the limiter, which refuses to be pickled."""
        state: Any = super().__getstate__()
        return {**state, "max_retries": self._retries, "_limiter": self._limiter}

    @property
    def max_retries(self) -> Retry:
        """What urllib3 is told, and that is none; setting it sets what is retried here, a Retry or a number of times."""
        return Retry(0, read=False)

    @max_retries.setter
    def max_retries(self, retries: Retry | int) -> None:
        self._retries = Retry.from_int(retries)

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """The answer, after as many retries as asked for. Raises what requests raises."""
        retries = self._retries.new()
        start = set_file_position(request.body, None)  # before the first send, as urllib3 does: a file is sent again from there
        while True:
            try:
                response = self._sent(request, *args, **kwargs)
            except RequestException as error:
                if (left := _after_error(retries, request, error)) is None:
                    raise
            else:
                if (left := _after_answer(retries, request, response)) is None:
                    return response
                response.raw.drain_conn()
                response.close()
            retries = left
            set_file_position(request.body, start)

    def _sent(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        with Admission(self._limiter, urlsplit(request.url).hostname or "", _never_sent) as call:
            response = super().send(request, *args, **kwargs)
            body = response.content if call.reads_body(response.status_code) else b""
            call.answered(response.status_code, response.headers, body)
        return response


def _never_sent(error: BaseException) -> bool:
    """Failures before a request was sent: the server knows nothing of it."""
    return isinstance(_cause(error), NewConnectionError | ConnectTimeoutError | EmptyPoolError)


def _cause(error: BaseException) -> object:
    """What urllib3 raised, as requests hands it on."""
    causes = [getattr(each, "reason", each) for each in error.args]
    return next((each for each in causes if isinstance(each, HTTPError)), None)


def _after_error(retries: Retry, request: Any, error: RequestException) -> Retry | None:
    """What is left of `retries` after an error, its pause over; None when it is to be raised."""
    cause = _cause(error)
    try:
        left = retries.increment(
            request.method, request.url, error=cause if isinstance(cause, HTTPError) else ProtocolError("Connection broken", error)
        )
    except HTTPError:
        return None
    left.sleep()
    return left


def _after_answer(retries: Retry, request: Any, response: Any) -> Retry | None:
    """What is left of `retries` after an answer, its pause over; None when it is to be given back. Raises RetryError if spent."""
    if not retries.is_retry(request.method, response.status_code, "Retry-After" in response.headers):
        return None
    try:
        left = retries.increment(request.method, request.url, response=response.raw)
    except MaxRetryError as spent:
        if retries.raise_on_status:
            raise RetryError(spent, request=request) from spent
        return None
    left.sleep(response.raw)
    return left
