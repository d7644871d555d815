"""What the watchdog makes of what it sees of an engine: pure, so that every case can be tried."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from helios_pipeline.core.alerts import Severity
from helios_pipeline.core.status import EngineStatus, StreamStatus
from helios_pipeline.live_settings import WatchdogSection
from live_engine.gate_state import JOURNAL, OWN

JOURNAL_LOST = f"{OWN}: {JOURNAL}: "
"""How a reason for refusing entries begins when the journal can't be written: then exits are refused too."""

DIFFERENCES_SHOWN = 5

MISSING = frozenset({"engine_down", "engine_silent", "engine_absent", "heartbeat_unreadable"})
"""Kinds that are over when an engine says something, and not before: one that starts has not."""

SETTLING = frozenset({"trader_stopped", "stale_stream", "reconciliation", "reconciliation_late", "unknown_order"})
"""Kinds that are judged only once an engine has had the time to come up."""

PLURALS = {"mark": "marks"}
"""Of streams whose name is none."""

TOLD = frozenset({"mode", "champion_refused", "no_champion", "journal", "copy_lag"})
"""Kinds that are judged from its first word on."""

BLOCKED = "entries_blocked"
"""What is judged only where nothing else explains it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """From when on something is wrong.

    Attributes:
        watchdog: of the settings.
        reconcile_seconds: between two comparisons with the venue.
        max_copy_lag_seconds: beyond which entries are refused.
    """

    watchdog: WatchdogSection
    reconcile_seconds: float
    max_copy_lag_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineView:
    """An engine as it is seen from outside at one moment.

    Attributes:
        status: of its heartbeat file; None if there is none that can be read.
        unreadable: why the heartbeat file can't be read; empty if it can, or is not there.
        age_seconds: since the heartbeat changed, by a clock that stands still while the machine sleeps.
        watched_seconds: since the engine was started, or since somebody looks.
        alive: whether its process exists.
        ended: how its process ended, if we were told; else empty.
    """

    status: EngineStatus | None
    unreadable: str
    age_seconds: float
    watched_seconds: float
    alive: bool
    ended: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Something that is wrong now.

    Attributes:
        kind: one word for programs.
        subject: of several that may be wrong in this way, which; else empty.
        severity: critical: somebody has to look now.
        summary: one line for people.
        facts: what was found, by name.
        hold_seconds: how long it has to stand before anybody is told.
    """

    kind: str
    subject: str = ""
    severity: Severity = "warning"
    summary: str
    facts: Mapping[str, str] = field(default_factory=dict)
    hold_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What is wrong, and what nobody can say now.

    Attributes:
        conditions: all that stand.
        unjudged: kinds of conditions that may stand or not.
    """

    conditions: tuple[Condition, ...]
    unjudged: frozenset[str] = frozenset()


def judge_engine(view: EngineView, limits: Limits) -> Judgement:
    """Everything that is wrong with an engine.

    One that is gone or hangs is only that: what its last heartbeat said may be so no longer. One that has just started
    is not blamed for what takes time to come.
    """
    missing, status = _missing(view, limits.watchdog), view.status
    if missing is not None or status is None:
        found_missing = () if missing is None else (missing,)
        unknown = MISSING.difference(each.kind for each in found_missing)
        return Judgement(conditions=found_missing, unjudged=unknown | SETTLING | TOLD | {BLOCKED})
    found = [*_mode(status), *_champion(status), *_journal(status, limits)]
    settled = status.told_at - status.started_at > timedelta(seconds=limits.watchdog.start_seconds)
    if settled:
        found += [*_trader(status), *_streams(status, limits), *_reconciliation(status, limits)]
        found += _orders(status, limits)
    unjudged = frozenset() if settled else SETTLING
    if found:
        return Judgement(conditions=tuple(found), unjudged=unjudged | {BLOCKED})
    return Judgement(conditions=tuple(_blocked(status, limits)), unjudged=unjudged)


def _missing(view: EngineView, limits: WatchdogSection) -> Condition | None:
    """Why there is no engine whose word counts; None if there is one, or one may still be coming up."""
    age = {"heartbeat_age_seconds": f"{view.age_seconds:.0f}"}
    if view.ended:
        return Condition(kind="engine_down", severity="critical", summary=f"the engine {view.ended}")
    if view.unreadable and view.age_seconds > limits.stale_heartbeat_seconds:
        return Condition(kind="heartbeat_unreadable", severity="critical", summary=view.unreadable, facts=age)
    if view.status is None:
        late = view.watched_seconds > limits.start_seconds
        said = f"no engine has said anything for {limits.start_seconds:.0f} s"
        return Condition(kind="engine_absent", severity="critical", summary=said) if late else None
    facts = age | {"pid": str(view.status.pid), "epoch": str(view.status.epoch)}
    if not view.alive and view.age_seconds > 0:
        gone = f"the engine is gone: process {view.status.pid} has ended without a word"
        return Condition(kind="engine_down", severity="critical", summary=gone, facts=facts)
    if view.age_seconds > limits.stale_heartbeat_seconds:
        silent = f"the engine hangs: its process {view.status.pid} lives, its heartbeat does not"
        return Condition(kind="engine_silent", severity="critical", summary=silent, facts=facts)
    return None


def _mode(status: EngineStatus) -> Iterator[Condition]:
    if status.mode != "ACTIVE":
        yield Condition(
            kind="mode",
            subject=status.mode,
            severity="critical" if status.mode == "HALTED" else "warning",
            summary=f"{status.mode} by {status.mode_who or 'nobody known'}: {status.mode_why or 'no reason given'}",
        )


def _trader(status: EngineStatus) -> Iterator[Condition]:
    if not status.trader_running:
        up = (status.told_at - status.started_at).total_seconds()
        said = "the engine lives, but its trader does not run: nothing is decided"
        yield Condition(kind="trader_stopped", severity="critical", summary=said, facts={"up_seconds": f"{up:.0f}"})


def _streams(status: EngineStatus, limits: Limits) -> Iterator[Condition]:
    """One condition a kind of stream: a venue that falls silent is one matter, not one for each instrument."""
    stale: dict[str, list[StreamStatus]] = {}
    for stream in status.streams:
        if stream.stale:
            stale.setdefault(stream.stream, []).append(stream)
    for name, streams in stale.items():
        whose = ", ".join(sorted(stream.instrument_id for stream in streams if stream.instrument_id))
        yield Condition(
            kind="stale_stream",
            subject=name,
            summary=f"{PLURALS.get(name, name)} are stale" + (f": {whose}" if whose else ""),
            facts={stream.instrument_id or name: _age(stream.age_seconds) for stream in streams},
            hold_seconds=limits.watchdog.stale_heartbeat_seconds,
        )


def _reconciliation(status: EngineStatus, limits: Limits) -> Iterator[Condition]:
    if status.differences:
        shown = status.differences[:DIFFERENCES_SHOWN]
        yield Condition(
            kind="reconciliation",
            severity="critical",
            summary=f"journal, NautilusTrader and venue differ: {status.differences[0]}",
            facts={f"difference {number}": text for number, text in enumerate(shown, 1)},
            hold_seconds=limits.reconcile_seconds,
        )
        return
    last = status.reconciled_at or status.started_at
    passed = (status.told_at - last).total_seconds()
    if passed > 3 * limits.reconcile_seconds:
        said = f"the account was not compared with the venue for {passed:.0f} s"
        yield Condition(kind="reconciliation_late", summary=said)


def _orders(status: EngineStatus, limits: Limits) -> Iterator[Condition]:
    for market in status.markets:
        if market.unknown_orders:
            yield Condition(
                kind="unknown_order",
                subject=market.instrument_id,
                severity="critical",
                summary=f"the outcome of {market.unknown_orders} orders of {market.instrument_id} is unknown",
                hold_seconds=2 * limits.reconcile_seconds,
            )


def _champion(status: EngineStatus) -> Iterator[Condition]:
    if not status.champion_note:
        return
    if status.champion is None:
        yield Condition(kind="no_champion", summary=f"nothing is traded: {status.champion_note}")
    else:
        said = f"a champion was refused, the one before trades on: {status.champion_note}"
        yield Condition(kind="champion_refused", severity="critical", summary=said, facts={"champion": status.champion})


def _journal(status: EngineStatus, limits: Limits) -> Iterator[Condition]:
    for reason in status.blocked:
        if reason.startswith(JOURNAL_LOST):
            yield Condition(kind="journal", severity="critical", summary=f"no order can be sent: {reason}")
            return
    if status.copy_lag_seconds > limits.max_copy_lag_seconds / 2:
        said = (
            f"PostgreSQL is {status.copy_lag_seconds:.0f} s behind the journal; at {limits.max_copy_lag_seconds:.0f} s"
        )
        yield Condition(kind="copy_lag", summary=f"{said} entries are refused")


def _blocked(status: EngineStatus, limits: Limits) -> Iterator[Condition]:
    """Refused entries that nothing else explains: a loss limit, a clock that is off, whatever a gate knows."""
    if status.blocked:
        yield Condition(
            kind=BLOCKED,
            summary=f"entries are refused: {status.blocked[0]}",
            facts={f"reason {number}": text for number, text in enumerate(status.blocked, 1)},
            hold_seconds=limits.watchdog.stale_heartbeat_seconds,
        )


def _age(seconds: float | None) -> str:
    return "nothing has come" if seconds is None else f"{seconds:.0f} s old"
