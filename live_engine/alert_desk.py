"""Tells people: keeps the book of alerts on disk, and puts what goes out into the outbox."""

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from helios_pipeline.core.alerts import Alert
from helios_pipeline.live_settings import WatchdogSection
from live_engine.alert_book import AlertBook, advance, tell
from live_engine.redaction import Redactor
from live_engine.watchdog import Condition, EngineView, Judgement
from live_engine.watchdog_state import WATCHDOG_STATE, read_book, write_book

LOGGER = logging.getLogger(__name__)

LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "critical": logging.CRITICAL}
FLUSH_LOOK_SECONDS = 0.05
SEND_AGAIN_SECONDS = 1.0
PAGE_SECONDS = 60.0
"""Between two alerts for pages: what an engine asks for again and again is told together."""


class Postman(Protocol):
    """Carries alerts to people, each at least once, however long that takes."""

    def post(self, alert: Alert) -> None:
        """Take an alert; durable when this returns. One that is known already is not taken again."""

    async def run(self) -> None:
        """Deliver for ever."""

    @property
    def idle(self) -> bool:
        """Whether everything that was taken is delivered."""


class AlertDesk:
    """The alerts of one account. Without a postman they are only logged."""

    def __init__(
        self, path: Path, book: AlertBook, redactor: Redactor, postman: Postman | None, limits: WatchdogSection
    ) -> None:
        self._path, self._book = path, book
        self._redactor = redactor
        self._postman = postman
        self._repeat = timedelta(minutes=limits.repeat_minutes)
        self._quiet = timedelta(seconds=limits.stale_heartbeat_seconds)
        self._next_page_at = 0.0
        self._unkept: list[Alert] = []
        # Killed after it was written down and before it was put out: put out again, under the same id.
        self._post(book.last_told)

    @classmethod
    def open(
        cls, folder: Path, account: str, redactor: Redactor, postman: Postman | None, limits: WatchdogSection
    ) -> "AlertDesk":
        """Go on from what was remembered."""
        path = folder / WATCHDOG_STATE
        book = read_book(path, account)
        if book is None:
            path.replace(path.with_suffix(".damaged"))
            LOGGER.error("what the watchdog remembered is damaged and was set aside", extra={"file": str(path)})
            book = AlertBook(account=account)
        if postman is None:
            LOGGER.warning("alerts are only logged: HELIOS_WEBHOOK_URL is not set")
        return cls(path, book, redactor, postman, limits)

    @property
    def account(self) -> str:
        """Whose alerts."""
        return self._book.account

    @property
    def starts(self) -> tuple[datetime, ...]:
        """When the engine was started of late."""
        return self._book.starts

    def see(self, found: Judgement) -> None:
        """Take in what is wrong now, and tell what has to be told."""
        self._post(())
        found = replace(found, conditions=tuple(map(self._clean, found.conditions)))
        self._book, alerts = advance(self._book, found, datetime.now(UTC), repeat=self._repeat, quiet=self._quiet)
        if alerts:
            self._write(self._book)
            self._put_out(alerts)

    def tell(self, event: Condition) -> None:
        """Tell something that happened once."""
        book, alert = tell(self._book, self._clean(event), datetime.now(UTC))
        self._write(book)
        self._put_out([alert])

    def see_epoch(self, view: EngineView) -> None:
        """Tell that another engine has taken the place of the one before, if one has: somebody else starts them."""
        if view.status is None or view.status.epoch == self._book.epoch:
            return
        before, self._book = self._book.epoch, replace(self._book, epoch=view.status.epoch)
        self._write(self._book)
        if before is not None:
            said = f"the engine was started again: epoch {view.status.epoch}, before {before}"
            self.tell(Condition(kind="engine_started_again", summary=said, facts={"pid": str(view.status.pid)}))

    def see_pages(self, view: EngineView) -> None:
        """Tell that an engine has asked for a person, if it has done so since that was last told."""
        if view.status is None or time.monotonic() < self._next_page_at:
            return
        epoch, told = self._book.paged
        pages = view.status.counters.get("pages", 0)
        if pages <= (told if view.status.epoch == epoch else 0):
            return
        self._next_page_at = time.monotonic() + PAGE_SECONDS
        self._book = replace(self._book, paged=(view.status.epoch, pages))
        said = "the engine asks for a person: the event `page` in its log says why"
        facts = {"pid": str(view.status.pid), "pages": str(pages)}
        self.tell(Condition(kind="page", severity="critical", summary=said, facts=facts))

    def remember_starts(self, starts: Iterable[datetime]) -> None:
        """Keep when the engine was started."""
        self._write(replace(self._book, starts=tuple(starts)))

    async def send(self) -> None:
        """Deliver alerts for ever; an error of one time is said, and delivering begins again."""
        while self._postman is not None:
            try:
                await self._postman.run()
            except Exception:
                LOGGER.exception("alerts could not be delivered")
                await asyncio.sleep(SEND_AGAIN_SECONDS)

    async def flush(self, seconds: float) -> None:
        """Wait until everything is delivered, or for so long."""
        deadline = asyncio.get_running_loop().time() + seconds
        while self._postman is not None and not self._postman.idle and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(FLUSH_LOOK_SECONDS)

    def _write(self, book: AlertBook) -> None:
        self._book = book
        try:
            write_book(self._path, book)
        except OSError as error:
            # A full disk is a reason to tell people, not to fall silent.
            LOGGER.critical("the watchdog can't write down what it told", extra={"found": str(error)})

    def _put_out(self, alerts: Sequence[Alert]) -> None:
        for alert in alerts:
            said = {"correlation": alert.alert_id, "kind": alert.kind, "subject": alert.subject, "state": alert.state}
            LOGGER.log(LEVELS[alert.severity], alert.summary, extra=said | {"facts": dict(alert.facts)})
        self._post(alerts)

    def _post(self, alerts: Sequence[Alert]) -> None:
        if self._postman is None:
            return
        waiting, self._unkept = [*self._unkept, *alerts], []
        for alert in waiting:
            try:
                self._postman.post(alert)
            except OSError as error:
                self._unkept.append(alert)
                if alert in alerts:
                    LOGGER.critical("an alert can't be kept for delivery yet", extra={"found": str(error)})

    def _clean(self, found: Condition) -> Condition:
        """Without secrets: it is written down as it is told."""
        text = self._redactor.text
        facts = {text(name): text(value) for name, value in found.facts.items()}
        return replace(found, summary=text(found.summary), facts=facts)
