"""Sends what is in the outbox until a receiver has taken it, however long that takes."""

import asyncio
import logging
import random
import time
from dataclasses import dataclass, field
from http import HTTPStatus

import aiohttp

from helios_pipeline.adapters.webhook.address import Webhook
from helios_pipeline.adapters.webhook.messages import message
from helios_pipeline.adapters.webhook.outbox import Outbox
from helios_pipeline.core.alerts import Alert

ATTEMPT_SECONDS = 10.0
FIRST_BACKOFF_SECONDS = 1.0
LONGEST_BACKOFF_SECONDS = 60.0
LONGEST_WAIT_SECONDS = 900.0
"""Most that a receiver's `Retry-After` is believed."""

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of one attempt.

    Attributes:
        taken: whether the receiver has the alert.
        reachable: whether another alert may fare better now.
        said: by the receiver or the network, without the address.
        wait_seconds: that the receiver asks for.
    """

    taken: bool
    reachable: bool
    said: str
    wait_seconds: float = 0.0


@dataclass(slots=True)
class Sender:
    """Carries alerts from an outbox to a webhook, at least once each, with back-off.

    Attributes:
        outbox: what to send.
        webhook: to whom.
        attempt_seconds: most that one attempt may take in all.
        first_backoff_seconds, longest_backoff_seconds: between attempts, doubling.
    """

    outbox: Outbox
    webhook: Webhook
    attempt_seconds: float = ATTEMPT_SECONDS
    first_backoff_seconds: float = FIRST_BACKOFF_SECONDS
    longest_backoff_seconds: float = LONGEST_BACKOFF_SECONDS
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _failures: int = 0

    @property
    def idle(self) -> bool:
        """Whether nothing waits."""
        return not self.outbox.waiting()

    def post(self, alert: Alert) -> None:
        """Take an alert; on the disk when this returns, and sent unless a failure or the receiver asked to wait.

        Raises:
            OSError: it can't be written.
        """
        if self.outbox.put(alert):
            self._wake.set()

    async def run(self) -> None:
        """Send for ever."""
        timeout = aiohttp.ClientTimeout(total=self.attempt_seconds)
        async with aiohttp.ClientSession(timeout=timeout, trust_env=True) as session:
            while True:
                self._wake.clear()
                wait = await self.send_waiting(session)
                if wait is None:
                    await self._wake.wait()
                else:
                    await asyncio.sleep(wait)

    async def send_waiting(self, session: aiohttp.ClientSession) -> float | None:
        """Try each alert that waits, the oldest first.

        Returns:
            Seconds until the next try; None if nothing waits.
        """
        failed: Answer | None = None
        for path in self.outbox.waiting():
            alert = self.outbox.read(path)
            if alert is None:
                LOGGER.error("alert in the outbox is damaged and was set aside", extra={"file": path.name})
                continue
            answer = await self._attempt(session, alert)
            if answer.taken:
                self._failures = 0
                self.outbox.delivered(path)
                continue
            failed = answer
            LOGGER.warning(
                "alert not delivered yet",
                extra={"correlation": alert.alert_id, "receiver": self.webhook.host, "found": answer.said},
            )
            if not answer.reachable:
                break
        if failed is None:
            return None
        self._failures += 1
        return max(self._backoff(), min(failed.wait_seconds, LONGEST_WAIT_SECONDS))

    async def _attempt(self, session: aiohttp.ClientSession, alert: Alert) -> Answer:
        body, headers = message(alert, self.webhook, int(time.time()))
        try:
            # Elsewhere is not where the alert was meant to go.
            async with session.post(self.webhook.url, data=body, headers=headers, allow_redirects=False) as answer:
                return _judge(answer.status, answer.headers.get("Retry-After", ""))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            # The error's own text may hold the address.
            return Answer(taken=False, reachable=False, said=type(error).__name__)

    def _backoff(self) -> float:
        """Seconds: doubling, at most the longest, less up to a fifth so that several senders part ways."""
        doubled: float = self.first_backoff_seconds * 2 ** float(min(self._failures - 1, 32))
        return min(doubled, self.longest_backoff_seconds) * random.uniform(0.8, 1.0)


def _judge(status: int, retry_after: str) -> Answer:
    said = f"HTTP {status}"
    if 200 <= status < 300:
        return Answer(taken=True, reachable=True, said=said)
    busy = status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    wait = float(retry_after) if retry_after.isascii() and retry_after.isdigit() else 0.0
    return Answer(taken=False, reachable=not busy, said=said, wait_seconds=wait)
