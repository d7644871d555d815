"""Which alerts go out for what is wrong: once when it begins, again while it stands, once when it is over.

Pure, and every alert's id follows from what it says: a watchdog that is killed between writing down that it told
something and telling it says the same again, under the same id.
"""

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from helios_pipeline.core.alerts import Alert, AlertState, Severity
from live_engine.watchdog import Condition, Judgement


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A condition that was there the last time anybody looked, or shortly before.

    Attributes:
        kind, subject, severity, summary: of the condition, as it was told or seen last.
        since: when it began.
        seen_at: when it was last there.
        told_at: when a person was last told; None if nobody was.
        told: how often.
    """

    kind: str
    subject: str
    severity: Severity
    summary: str
    since: datetime
    seen_at: datetime
    told_at: datetime | None
    told: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertBook:
    """What is known of an account's alerts; kept on disk.

    Attributes:
        account: whose.
        standing: conditions, each kind and subject once.
        last_told: the alerts that went out together last: after a kill they are put out again.
        starts: when the engine was started of late.
        epoch: of the last engine seen; None for none.
        paged: epoch of the engine that last asked for a person, and how often it had when somebody was told.
    """

    account: str
    standing: tuple[Standing, ...] = ()
    last_told: tuple[Alert, ...] = ()
    starts: tuple[datetime, ...] = ()
    epoch: int | None = None
    paged: tuple[int, int] = (0, 0)


def advance(
    book: AlertBook, found: Judgement, now: datetime, *, repeat: timedelta, quiet: timedelta
) -> tuple[AlertBook, tuple[Alert, ...]]:
    """Take in what is wrong now.

    Args:
        book: as it was.
        found: what is wrong now; what is not judged stays as it was.
        now: UTC.
        repeat: after which a condition that still stands is told again.
        quiet: how long it has to be gone before it is over: one that comes and goes is told once.

    Returns:
        The book after it, and the alerts to send: to be kept on disk in this order.
    """
    before = {(each.kind, each.subject): each for each in book.standing}
    kept: list[Standing] = []
    alerts: list[Alert] = []
    for condition in found.conditions:
        known = before.pop((condition.kind, condition.subject), None)
        entry, alert = _see(book.account, condition, known, now, repeat)
        kept.append(entry)
        alerts += [] if alert is None else [alert]
    for entry in before.values():
        if entry.told_at is None:
            continue
        if entry.kind in found.unjudged or now - entry.seen_at < quiet:
            kept.append(entry)
        else:
            alerts.append(_recovered(book.account, entry, now))
    told = tuple(alerts)
    return replace(book, standing=tuple(kept), last_told=told or book.last_told), told


def tell(book: AlertBook, event: Condition, now: datetime) -> tuple[AlertBook, Alert]:
    """Tell something that happened once."""
    alert = _alert(book.account, event, "happened", now, now, told=1)
    return replace(book, last_told=(alert,)), alert


def _see(
    account: str, condition: Condition, known: Standing | None, now: datetime, repeat: timedelta
) -> tuple[Standing, Alert | None]:
    since = now if known is None else known.since
    told_at, told = (None, 0) if known is None else (known.told_at, known.told)
    alert = None
    due = now - since >= timedelta(seconds=condition.hold_seconds) if told_at is None else now - told_at >= repeat
    if due:
        state: AlertState = "raised" if told_at is None else "standing"
        told_at, told = now, told + 1
        alert = _alert(account, condition, state, since, now, told=told)
    entry = Standing(
        kind=condition.kind,
        subject=condition.subject,
        severity=condition.severity,
        summary=condition.summary,
        since=since,
        seen_at=now,
        told_at=told_at,
        told=told,
    )
    return entry, alert


def _recovered(account: str, entry: Standing, now: datetime) -> Alert:
    lasted = {"lasted_seconds": f"{(entry.seen_at - entry.since).total_seconds():.0f}"}
    over = Condition(kind=entry.kind, subject=entry.subject, severity="info", summary=entry.summary, facts=lasted)
    return _alert(account, over, "recovered", entry.since, now, told=entry.told + 1)


def _alert(
    account: str, condition: Condition, state: AlertState, since: datetime, now: datetime, *, told: int
) -> Alert:
    name = "\n".join((account, condition.kind, condition.subject, since.isoformat(), state, str(told)))
    return Alert(
        alert_id=hashlib.sha256(name.encode()).hexdigest()[:32],
        account=account,
        kind=condition.kind,
        subject=condition.subject,
        severity=condition.severity,
        state=state,
        summary=condition.summary,
        facts=dict(condition.facts),
        since=since,
        told_at=now,
    )
