"""Raw market data: the archive's files, verified, and the REST tail where the archive ends."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

import polars as pl

from assets.judging import (
    RAW_FUNDING_RATES_CHECKS,
    RAW_KLINES_CHECKS,
    RAW_OPEN_INTEREST_CHECKS,
    judge_raw_funding_rates,
    judge_raw_klines,
    judge_raw_open_interest,
)
from assets.month_assets import define_monthly_asset
from assets.months import Made, Month, MonthlyAsset, Plan
from assets.research import Research
from helios_pipeline.adapters.binance.archive_layout import ArchiveFile, Kind, MonthRequest, files_version
from helios_pipeline.core.calendar import BAR_INTERVAL, days_of_month, month_start, next_month
from helios_pipeline.core.errors import DataError
from helios_pipeline.core.records import Window
from helios_pipeline.data.funding import RAW_FUNDING_SCHEMA
from helios_pipeline.data.klines import RAW_KLINES_SCHEMA
from helios_pipeline.data.open_interest import RAW_OPEN_INTEREST_SCHEMA
from helios_pipeline.data.raw_month import (
    CsvFile,
    RawMonth,
    make_raw_funding,
    make_raw_klines,
    make_raw_open_interest,
    tail_window,
)
from helios_pipeline.reports.figures import draw_funding, draw_klines, draw_open_interest

PUBLICATION_DAYS = 3
"""Days after a month's end by which the archive has all of it; until then REST fills the tail."""

LAST_CHANCE_DAYS = 60
"""Days after a month's end from which on no further file of it is expected, unless `--refresh` asks."""

KLINE_STEPS = {"1m": timedelta(minutes=1), "15m": BAR_INTERVAL}
OPEN_INTEREST_STEP = timedelta(minutes=5)

type Files = Sequence[ArchiveFile]


def _plan(kind: Kind, *intervals: str | None) -> Callable[[Research, Sequence[Month]], dict[Month, Plan]]:
    """How to look up what the archive publishes of some months."""

    def plan(research: Research, months: Sequence[Month]) -> dict[Month, Plan]:
        wanted = {
            month: [
                MonthRequest(kind=kind, symbol=_symbol(month), month=month[1], interval=interval)
                for interval in intervals
            ]
            for month in months
        }
        if not wanted:
            return {}
        with research.archive() as archive:
            files = archive.plan([request for each in wanted.values() for request in each], today=research.now.date())
        found = {month: [file for request in requests for file in files[request]] for month, requests in wanted.items()}
        return {
            month: Plan(made_from=_made_from(research, month, published), payload=published)
            for month, published in found.items()
        }

    return plan


def _made_from(research: Research, month: Month, published: Files) -> dict[str, object]:
    made_from: dict[str, object] = {"files": files_version(published)}
    if _has_tail(research, month):
        # The tail grows all the time, so a month that has one is never current.
        made_from["tail"] = research.now.isoformat()
    return made_from


def _settled(name: str) -> Callable[[Research, Month], Mapping[str, object] | None]:
    """What a stored month was made from, once all of it is published: the archive need not be asked again."""

    def settled(research: Research, month: Month) -> Mapping[str, object] | None:
        facts = research.lake.facts(name, instrument=month[0], month=month[1])
        made_from: Mapping[str, object] | None = facts.get("made_from")
        if made_from is None or "tail" in made_from:
            return None
        age = research.now - month_start(next_month(month[1]))
        complete = age >= timedelta(days=PUBLICATION_DAYS) and _is_complete(facts["files"], month[1])
        return made_from if complete or age >= timedelta(days=LAST_CHANCE_DAYS) else None

    return settled


def _is_complete(paths: Sequence[str], month: str) -> bool:
    """Whether files cover a whole month: each kind by its monthly zip or by the zips of all days."""
    kinds = Counter(path.rpartition("/")[0] for path in paths)
    days = sum(1 for _ in days_of_month(month))
    return bool(kinds) and all("/monthly/" in folder or count == days for folder, count in kinds.items())


def _download(research: Research, plans: Mapping[Month, Plan]) -> None:
    """Download everything a run needs side by side, before the first month is made."""
    with research.archive() as archive:
        archive.fetch([file for plan in plans.values() for file in plan.payload], progress=research.downloads)


def _make_klines(research: Research, month: Month, plan: Plan) -> Made:
    files: dict[str, list[CsvFile]] = {interval: [] for interval in KLINE_STEPS}
    for file, csv in zip(plan.payload, _read(research, plan.payload), strict=True):
        files[file.path.split("/")[-2]].append(csv)
    before = _before(research, "raw_klines", month)
    made = make_raw_klines(files, {}, month=month[1], before=before)
    rest = {}
    for interval, step in KLINE_STEPS.items():
        window = _tail(research, month, made.frame.filter(pl.col("interval") == interval), "opened_at", step)
        if window is not None:
            with research.rest() as venue:
                rest[interval] = venue.klines(_symbol(month), interval=interval, window=window)
    if rest:
        made = make_raw_klines(files, rest, month=month[1], before=before)
    _refuse_nothing("raw_klines", research, month, made)
    return _made(made, plan, {"covers_until": _covers_until(research, month, made.frame).isoformat()})


def _make_funding_rates(research: Research, month: Month, plan: Plan) -> Made:
    make = partial(
        make_raw_funding,
        _read(research, plan.payload),
        month=month[1],
        until=research.now,
        before=_before(research, "raw_funding_rates", month),
    )
    made = make([], interval_hours=None)
    window = _tail(research, month, made.frame, "settled_at", timedelta(hours=1))
    if window is not None:
        with research.rest() as venue:
            rest = venue.funding_rates(_symbol(month), window=window)
            made = make(rest, interval_hours=venue.funding_interval_hours(_symbol(month)))
    _refuse_nothing("raw_funding_rates", research, month, made)
    return _made(made, plan, {})


def _make_open_interest(research: Research, month: Month, plan: Plan) -> Made:
    files, before = _read(research, plan.payload), _before(research, "raw_open_interest", month)
    made = make_raw_open_interest(files, [], month=month[1], before=before)
    window = _tail(research, month, made.frame, "measured_at", OPEN_INTEREST_STEP)
    if window is not None:
        with research.rest() as venue:
            rest = venue.open_interest(_symbol(month), window=window)
        made = make_raw_open_interest(files, rest, month=month[1], before=before)
    return _made(made, plan, {})


def _made(raw: RawMonth, plan: Plan, facts: Mapping[str, object]) -> Made:
    files = [file.path for file in plan.payload]
    return Made(frame=raw.frame, quarantine=raw.quarantine, facts={**raw.facts(), **facts, "files": files})


def _read(research: Research, files: Files) -> list[CsvFile]:
    with research.archive() as archive:
        return [CsvFile(name=file.name, content=archive.read_csv(file)) for file in files]


def _has_tail(research: Research, month: Month) -> bool:
    """Whether REST has to fill the end of a month: it is not over, or not all of it need be published yet."""
    published_by = month_start(next_month(month[1])) + timedelta(days=PUBLICATION_DAYS)
    return research.has_tail and research.now < published_by


def _tail(research: Research, month: Month, rows: pl.DataFrame, stamp: str, step: timedelta) -> Window | None:
    """What to ask REST for: everything after the archive's last row."""
    if not _has_tail(research, month):
        return None
    last: datetime | None = rows.filter(pl.col("source") == "archive")[stamp].max()  # type: ignore[assignment]
    return tail_window(last, step=step, month=month[1], now=research.now)


def _before(research: Research, name: str, month: Month) -> pl.DataFrame | None:
    """What is stored of a month; its REST rows stay until the archive has them."""
    where = {"instrument": month[0], "month": month[1]}
    return research.lake.read(name, **where) if research.lake.version(name, **where) else None


def _covers_until(research: Research, month: Month, klines: pl.DataFrame) -> datetime:
    """Up to where bars can be judged: the month's end, or the last whole bar of a month that is not over."""
    first, end = month_start(month[1]), month_start(next_month(month[1]))
    if not _has_tail(research, month) and research.now >= end:
        return end
    stamps = klines.select(pl.col("opened_at") + pl.col("interval").replace_strict(KLINE_STEPS))
    last: datetime = stamps.to_series().max()  # type: ignore[assignment]
    return first + (last - first) // BAR_INTERVAL * BAR_INTERVAL


def _refuse_nothing(name: str, research: Research, month: Month, made: RawMonth) -> None:
    if made.frame.is_empty():
        raise DataError(
            f"{name} of {month[0]} {month[1]}: expected files of that month, found none at "
            f"{research.settings.data.archive_url}. Choose months that are published with --from and --to, "
            "or correct data.archive_url."
        )


def _symbol(month: Month) -> str:
    return month[0].rpartition(".")[0].removesuffix("-PERP")


RAW_KLINES = MonthlyAsset(
    name="raw_klines",
    code_version="1",
    plan=_plan("klines", *KLINE_STEPS),
    make=_make_klines,
    checks=RAW_KLINES_CHECKS,
    judge=judge_raw_klines,
    draw=lambda _research, _month, made: draw_klines(made.frame),
    prepare=_download,
    settled=_settled("raw_klines"),
)
RAW_FUNDING_RATES = MonthlyAsset(
    name="raw_funding_rates",
    code_version="1",
    plan=_plan("fundingRate", None),
    make=_make_funding_rates,
    checks=RAW_FUNDING_RATES_CHECKS,
    judge=judge_raw_funding_rates,
    draw=lambda _research, _month, made: draw_funding(made.frame),
    prepare=_download,
    settled=_settled("raw_funding_rates"),
)
RAW_OPEN_INTEREST = MonthlyAsset(
    name="raw_open_interest",
    code_version="1",
    plan=_plan("metrics", None),
    make=_make_open_interest,
    checks=RAW_OPEN_INTEREST_CHECKS,
    judge=judge_raw_open_interest,
    draw=lambda _research, _month, made: draw_open_interest(made.frame),
    prepare=_download,
    settled=_settled("raw_open_interest"),
)


raw_klines = define_monthly_asset(
    RAW_KLINES,
    group="market_data",
    schema=RAW_KLINES_SCHEMA,
    asks_venue=True,
    description="1-minute and 15-minute klines of Binance USD-M: the archive, checksum-verified, and the REST tail.",
)
raw_funding_rates = define_monthly_asset(
    RAW_FUNDING_RATES,
    group="market_data",
    schema=RAW_FUNDING_SCHEMA,
    asks_venue=True,
    description="Funding rates as published, with the interval each is for.",
)
raw_open_interest = define_monthly_asset(
    RAW_OPEN_INTEREST,
    group="market_data",
    schema=RAW_OPEN_INTEREST_SCHEMA,
    asks_venue=True,
    description="Open interest every five minutes, where it is published; months without are empty, not an error.",
)
