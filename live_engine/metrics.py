"""What is measured of an engine: its status, its process, and how long things take."""

import os
import threading
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import get_args

from helios_pipeline.core.status import EngineStatus
from helios_pipeline.core.trading import Mode
from live_engine.exposition import Histogram, Metric, Sample


def metrics_text(status: EngineStatus | None, now: datetime, histograms: Iterable[Histogram]) -> str:
    """Everything that is measured, as Prometheus reads it.

    Args:
        status: the newest; None before there is one.
        now: UTC, for ages.
        histograms: of durations.
    """
    lines: list[str] = []
    told = () if status is None else (*_engine(status, now), *_markets(status), *_streams(status))
    for metric in (*told, *_process()):
        lines += metric.lines()
    for histogram in histograms:
        lines += histogram.lines()
    return "\n".join(lines) + "\n"


def _engine(status: EngineStatus, now: datetime) -> Iterator[Metric]:
    network, told = status.network, (status.told_at, status.reconciled_at)
    ages = [None if at is None else max(0.0, (now - at).total_seconds()) for at in told]
    about = {"account": status.account, "network": network, "venue": status.venue, "champion": status.champion or ""}
    modes: tuple[Sample, ...] = tuple(({"mode": mode}, int(mode == status.mode)) for mode in get_args(Mode))
    events: tuple[Sample, ...] = tuple(({"event": name}, count) for name, count in sorted(status.counters.items()))
    yield Metric(
        name="helios_engine_info", kind="gauge", says="What is traded, by which champion.", samples=((about, 1),)
    )
    yield Metric(
        name="helios_mode", kind="gauge", says="1 for the kill switch's mode, 0 for the others.", samples=modes
    )
    yield Metric(name="helios_events_total", kind="counter", says="Events since the start, by kind.", samples=events)
    for name, says, value in (
        ("helios_started_seconds", "When the engine started, Unix time.", status.started_at.timestamp()),
        ("helios_epoch", "Starts of engines that this account has seen.", status.epoch),
        ("helios_heartbeat_age_seconds", "Age of the status that these metrics are of.", ages[0]),
        ("helios_trader_running", "1 while NautilusTrader's trader runs.", int(status.trader_running)),
        ("helios_blocked_reasons", "Reasons for which entries are refused now.", len(status.blocked)),
        ("helios_champion", "1 while there is a champion in force.", int(status.champion is not None)),
        ("helios_quote_balance_quote", "Cash after everything bought and sold.", status.quote_balance),
        ("helios_equity_quote", "Equity at mark prices.", status.equity),
        ("helios_day_pnl_quote", "Change of equity since 00:00 UTC.", status.day_pnl),
        ("helios_venue_height", "The venue's block.", status.height),
        ("helios_reconciled_age_seconds", "Since journal, NautilusTrader and venue last agreed.", ages[1]),
        ("helios_reconciliation_differences", "Differences that the last comparison found.", len(status.differences)),
        ("helios_journal_sequence", "Of the newest journal record.", status.sequence),
        ("helios_copy_lag_seconds", "Of PostgreSQL behind the local log.", status.copy_lag_seconds),
    ):
        yield Metric(name=name, kind="gauge", says=says, samples=(({}, value),))


def _markets(status: EngineStatus) -> Iterator[Metric]:
    markets = [({"instrument": market.instrument_id}, market) for market in status.markets]
    for name, says, values in (
        ("helios_position_base", "Signed position.", [market.quantity for _, market in markets]),
        ("helios_mark_price_quote", "The venue's mark price.", [market.mark_price for _, market in markets]),
        ("helios_stop_price_quote", "Trigger of the protective stop.", [market.stop_price for _, market in markets]),
        (
            "helios_unrealised_quote",
            "Unrealised profit at the mark price.",
            [market.unrealised for _, market in markets],
        ),
        ("helios_signal", "The signal s of the last decision.", [market.signal for _, market in markets]),
        ("helios_unknown_orders", "Orders whose outcome is unknown.", [market.unknown_orders for _, market in markets]),
    ):
        samples: tuple[Sample, ...] = tuple((labels, value) for (labels, _), value in zip(markets, values, strict=True))
        yield Metric(name=name, kind="gauge", says=says, samples=samples)


def _streams(status: EngineStatus) -> Iterator[Metric]:
    named = [({"stream": each.stream, "instrument": each.instrument_id}, each) for each in status.streams]
    ages: tuple[Sample, ...] = tuple((labels, each.age_seconds) for labels, each in named)
    stale: tuple[Sample, ...] = tuple((labels, int(each.stale)) for labels, each in named)
    yield Metric(name="helios_stream_age_seconds", kind="gauge", says="Since the newest of a stream.", samples=ages)
    yield Metric(name="helios_stream_stale", kind="gauge", says="1 for a stream that blocks entries.", samples=stale)


def _process() -> Iterator[Metric]:
    """What the process uses, under the names that every Prometheus dashboard knows."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    descriptors = len(os.listdir("/proc/self/fd"))
    cpu_seconds: tuple[Sample, ...] = (({}, time.process_time()),)
    yield Metric(name="process_cpu_seconds_total", kind="counter", says="Processor time.", samples=cpu_seconds)
    for name, says, value in (
        ("process_resident_memory_bytes", "Resident memory.", pages * os.sysconf("SC_PAGE_SIZE")),
        ("process_open_fds", "Open file descriptors.", descriptors),
        ("process_threads", "Threads of Python.", threading.active_count()),
    ):
        yield Metric(name=name, kind="gauge", says=says, samples=(({}, value),))
