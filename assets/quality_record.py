"""What the report on market data is made of, out of the lake."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from assets.research import Research
from helios_pipeline.core.calendar import month_start
from helios_pipeline.core.version import content_version
from helios_pipeline.reports.coverage import GAPS_SCHEMA, SPANS_SCHEMA, days_covered
from helios_pipeline.reports.data_quality_page import DataQualityReport

DATA_QUALITY_VERSION = "1"
HOUR = timedelta(hours=1)

NEWEST: Mapping[str, str] = {
    "raw_klines": "opened_at",
    "raw_funding_rates": "settled_at",
    "raw_open_interest": "measured_at",
    "bars_15m": "closed_at",
    "funding_features": "closed_at",
}
"""The monthly assets, and the column that says how new a row is."""

STAMP = pl.Datetime("us", "UTC")

COVERAGE_SCHEMA = pl.Schema(
    {
        "instrument": pl.String(),
        "months": pl.Int64(),
        "first": STAMP,
        "until": STAMP,
        "bars": pl.Int64(),
        "from_1m": pl.Int64(),
        "missing": pl.Int64(),
        "quarantined": pl.Int64(),
        "compared": pl.Int64(),
        "different": pl.Int64(),
    }
)
QUARANTINED_SCHEMA = pl.Schema(
    {"asset": pl.String(), "instrument": pl.String(), "reason": pl.String(), "rows": pl.Int64()}
)
DIFFERENCES_SCHEMA = pl.Schema(
    {
        "instrument": pl.String(),
        "opened_at": STAMP,
        "column": pl.String(),
        "from_1m": pl.Float64(),
        "from_15m": pl.Float64(),
    }
)
REST_SCHEMA = pl.Schema({"asset": pl.String(), "instrument": pl.String(), "month": pl.String(), "values": pl.Int64()})
SETTLEMENTS_SCHEMA = pl.Schema({"instrument": pl.String(), "settled_at": STAMP})
FRESHNESS_SCHEMA = pl.Schema(
    {
        "asset": pl.String(),
        "instrument": pl.String(),
        "months": pl.Int64(),
        "last_row": STAMP,
        "age_hours": pl.Float64(),
        "from_rest": pl.Int64(),
    }
)
VERDICT_SCHEMA = pl.Schema(
    {
        "asset": pl.String(),
        "instrument": pl.String(),
        "month": pl.String(),
        "check": pl.String(),
        "passed": pl.Boolean(),
        "severity": pl.String(),
        "summary": pl.String(),
    }
)
REFUSED_SCHEMA = pl.Schema(
    {
        "asset": pl.String(),
        "instrument": pl.String(),
        "month": pl.String(),
        "check": pl.String(),
        "summary": pl.String(),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMonth:
    """What is said of a stored month, without its rows."""

    asset: str
    instrument: str
    month: str
    facts: Mapping[str, Any]

    @property
    def where(self) -> dict[str, str]:
        """Which month."""
        return {"asset": self.asset, "instrument": self.instrument, "month": self.month}


def data_quality_version(research: Research) -> str:
    """Version that the report would have if it were made now."""
    lake = research.lake
    versions = {
        f"{asset} {instrument} {month}": lake.version(asset, instrument=instrument, month=month)
        for name in NEWEST
        for asset in (name, f"refused/{name}")
        for instrument in lake.instruments(asset)
        for month in lake.months(asset, instrument=instrument)
    }
    return content_version("data_quality_report", DATA_QUALITY_VERSION, stored=versions)


def gather_data_quality(research: Research) -> DataQualityReport:
    """Everything that is known about the stored months."""
    stored = list(_stored(research))
    bars = [month for month in stored if month.asset == "bars_15m"]
    spans, gaps = _spans(research, bars), _gaps(bars)
    verdicts = _verdicts(stored)
    return DataQualityReport(
        market_data=research.market_data,
        days=days_covered(spans, gaps),
        coverage=_coverage(bars, spans),
        gaps=gaps,
        quarantined=_quarantined(stored),
        differences=_differences(bars),
        rest_differences=_rest_differences(stored),
        missing_settlements=_missing_settlements(stored),
        freshness=_freshness(research, stored),
        checks=_count_checks(verdicts),
        failed_checks=verdicts.filter(~pl.col("passed")).drop("passed"),
        refused=_refused(research),
        version=data_quality_version(research),
        made_at=research.now,
    )


def _stored(research: Research) -> Iterator[StoredMonth]:
    lake = research.lake
    for asset in NEWEST:
        for instrument in lake.instruments(asset):
            for month in lake.months(asset, instrument=instrument):
                facts = lake.facts(asset, instrument=instrument, month=month)
                yield StoredMonth(asset=asset, instrument=instrument, month=month, facts=facts)


def _spans(research: Research, bars: Sequence[StoredMonth]) -> pl.DataFrame:
    """What each month of bars was made of: up to its end, or to where klines reach."""
    rows = []
    for month in bars:
        until = research.lake.facts("raw_klines", instrument=month.instrument, month=month.month)["covers_until"]
        rows.append({"instrument": month.instrument, "first": month_start(month.month), "until": _instant(until)})
    return pl.DataFrame(rows, schema=SPANS_SCHEMA)


def _gaps(bars: Sequence[StoredMonth]) -> pl.DataFrame:
    rows = [
        {**gap, "instrument": month.instrument, "first": _instant(gap["first"]), "last": _instant(gap["last"])}
        for month in bars
        for gap in month.facts["gaps"]
    ]
    return pl.DataFrame(rows, schema=GAPS_SCHEMA)


def _coverage(bars: Sequence[StoredMonth], spans: pl.DataFrame) -> pl.DataFrame:
    rows = [
        {
            "instrument": month.instrument,
            "bars": month.facts["bars"],
            "from_1m": month.facts["sources"].get("1m", 0),
            "missing": sum(gap["bars"] for gap in month.facts["gaps"]),
            "quarantined": month.facts["quarantined_rows"],
            "compared": month.facts["cross_check"]["compared"],
            "different": month.facts["cross_check"]["different"],
        }
        for month in bars
    ]
    counted = ("bars", "from_1m", "missing", "quarantined", "compared", "different")
    counts = pl.DataFrame(rows, schema={"instrument": pl.String} | dict.fromkeys(counted, pl.Int64))
    times = spans.group_by("instrument").agg(pl.len().alias("months"), pl.col("first").min(), pl.col("until").max())
    joined = times.join(counts.group_by("instrument").agg(pl.col(counted).sum()), on="instrument", how="left")
    return joined.select(pl.col(name).cast(kind) for name, kind in COVERAGE_SCHEMA.items()).sort("instrument")


def _quarantined(stored: Sequence[StoredMonth]) -> pl.DataFrame:
    rows = [
        {"asset": month.asset, "instrument": month.instrument, "reason": reason, "rows": count}
        for month in stored
        for reason, count in month.facts.get("quarantined", {}).items()
    ]
    keys = ["asset", "instrument", "reason"]
    return pl.DataFrame(rows, schema=QUARANTINED_SCHEMA).group_by(keys).agg(pl.col("rows").sum()).sort(keys)


def _differences(bars: Sequence[StoredMonth]) -> pl.DataFrame:
    rows = [
        {**difference, "instrument": month.instrument, "opened_at": _instant(difference["opened_at"])}
        for month in bars
        for difference in month.facts["cross_check"]["differences"]
    ]
    return pl.DataFrame(rows, schema=DIFFERENCES_SCHEMA)


def _rest_differences(stored: Sequence[StoredMonth]) -> pl.DataFrame:
    rows = [{**month.where, "values": month.facts["differences"]} for month in stored if month.facts.get("differences")]
    return pl.DataFrame(rows, schema=REST_SCHEMA)


def _missing_settlements(stored: Sequence[StoredMonth]) -> pl.DataFrame:
    rows = [
        {"instrument": month.instrument, "settled_at": _instant(at)}
        for month in stored
        if month.asset == "raw_funding_rates"
        for at in month.facts["missing"]
    ]
    return pl.DataFrame(rows, schema=SETTLEMENTS_SCHEMA)


def _freshness(research: Research, stored: Sequence[StoredMonth]) -> pl.DataFrame:
    """How new the newest row of each asset and instrument is."""
    months: dict[tuple[str, str], list[StoredMonth]] = {}
    for month in stored:
        months.setdefault((month.asset, month.instrument), []).append(month)
    rows = []
    for (asset, instrument), own in months.items():
        last = research.lake.read(asset, instrument=instrument, month=own[-1].month)[NEWEST[asset]].max()
        age = (research.now - last) / HOUR if isinstance(last, datetime) else None
        from_rest = own[-1].facts.get("sources", {}).get("rest", 0)
        found = {"months": len(own), "last_row": last, "age_hours": age, "from_rest": from_rest}
        rows.append({"asset": asset, "instrument": instrument, **found})
    return pl.DataFrame(rows, schema=FRESHNESS_SCHEMA)


def _verdicts(stored: Sequence[StoredMonth]) -> pl.DataFrame:
    names = ("check", "passed", "severity", "summary")
    rows = [
        {**month.where, **{name: verdict[name] for name in names}}
        for month in stored
        for verdict in month.facts.get("checks", [])
    ]
    return pl.DataFrame(rows, schema=VERDICT_SCHEMA)


def _count_checks(verdicts: pl.DataFrame) -> pl.DataFrame:
    warned = ~pl.col("passed") & (pl.col("severity") == "warning")
    counts = {"months": pl.len(), "passed": pl.col("passed").sum(), "warnings": warned.sum()}
    return verdicts.group_by("asset", "check", maintain_order=True).agg(**counts)


def _refused(research: Research) -> pl.DataFrame:
    lake, parts = research.lake, [REFUSED_SCHEMA.to_frame()]
    for name in NEWEST:
        for instrument in lake.instruments(f"refused/{name}"):
            for month in lake.months(f"refused/{name}", instrument=instrument):
                rows = lake.read(f"refused/{name}", instrument=instrument, month=month)
                where = {"asset": name, "instrument": instrument, "month": month}
                named = rows.select("check", "summary").unique(maintain_order=True)
                parts.append(named.with_columns(**{key: pl.lit(value) for key, value in where.items()}))
    return pl.concat(part.select(list(REFUSED_SCHEMA)) for part in parts)


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
