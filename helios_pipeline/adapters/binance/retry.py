"""Trying again: which failures are passing, and how long to wait."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

import httpx
import tenacity

from helios_pipeline.core.errors import UnreachableError

LONGEST_WAIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrySettings:
    """How often to try.

    Attributes:
        attempts: tries in all, at least 1.
        backoff_seconds: wait after the first failure, plus as much again at random; it doubles each time,
            up to a minute.
    """

    attempts: int
    backoff_seconds: float


def is_passing(error: BaseException) -> bool:
    """Whether a failed HTTP request may succeed later: connection trouble, time-outs, 408, 418, 429 and 5xx."""
    if isinstance(error, httpx.HTTPStatusError):
        # 418 is Binance's "you went on after 429".
        return error.response.is_server_error or error.response.status_code in (408, 418, 429)
    return isinstance(error, httpx.TransportError) and not isinstance(error, httpx.UnsupportedProtocol)


def with_retries[T](
    action: Callable[[], T],
    *,
    settings: RetrySettings,
    passing: Callable[[BaseException], bool],
    what: str,
    wake: threading.Event | None = None,
) -> T:
    """Do something until it succeeds.

    Args:
        action: may fail.
        settings: how often.
        passing: whether an error is worth another try; others are raised at once.
        what: for the message.
        wake: ends a wait early when it is set.

    Raises:
        UnreachableError: every try failed.
    """
    growing = tenacity.wait_exponential(multiplier=settings.backoff_seconds, max=LONGEST_WAIT_SECONDS)
    jitter = tenacity.wait_random(0, settings.backoff_seconds)

    def wait(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        return max(growing(state) + jitter(state), _retry_after_seconds(error))

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(passing),
        stop=tenacity.stop_after_attempt(settings.attempts),
        wait=wait,
        sleep=tenacity.sleep_using_event(wake or threading.Event()),
    )
    try:
        return retrying(action)
    except tenacity.RetryError as error:
        last = error.last_attempt.exception()
        raise UnreachableError(
            f"{what}: expected an answer, found {_describe(last)} at each of {settings.attempts} attempts. "
            "Check the connection and the base URL, then run again: what is complete is kept."
        ) from last


def _describe(error: BaseException | None) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        return f"status {error.response.status_code}"
    return f"{type(error).__name__}: {error}"


def _retry_after_seconds(error: BaseException | None) -> float:
    """What the server asks for, in seconds; 0 if it does not, or as a date."""
    if not isinstance(error, httpx.HTTPStatusError):
        return 0.0
    asked = error.response.headers.get("Retry-After", "")
    return min(float(asked), LONGEST_WAIT_SECONDS) if asked.isdigit() else 0.0


def is_absent(response: httpx.Response) -> bool:
    """Whether the answer says that there is no such file."""
    return response.status_code in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
