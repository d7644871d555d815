"""Checks that look across partitions: they stop nothing, and say when what is stored can't be trusted as a whole."""

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any

import dagster as dg
import polars as pl

from assets.bars import bars_15m
from assets.features import FUNDING_FEATURES, INPUTS, funding_features, months_read
from assets.pictures import rows_table
from assets.research import Research
from helios_pipeline.core.errors import UnreachableError
from helios_pipeline.data.bars import DIFFERENCES_SCHEMA
from helios_pipeline.data.coverage import covered_until, map_coverage
from helios_pipeline.data.klines import klines_from_rest
from helios_pipeline.data.second_source import (
    DISAGREEMENT_SCHEMA,
    compare_with_second_source,
    day_window,
    sample,
    sample_days,
)
from helios_pipeline.features.independent import (
    DEPARTURES_SCHEMA,
    TOLERANCE,
    features_by_other_means,
    find_departures,
)
from helios_pipeline.features.look_ahead import HINDSIGHT_SCHEMA, FeatureInputs, cut_instants, find_hindsight


@dg.asset_check(
    asset=bars_15m,
    description="Between the first and the last stored month of each instrument none is missing; the gaps within them "
    "are mapped.",
)
def gap_map(research: dg.ResourceParam[Research]) -> dg.AssetCheckResult:
    """Which months and bars are there."""
    facts = {name: _bar_facts(research, name) for name in research.settings.research.instruments}
    coverage = map_coverage(facts)
    absent = coverage.missing_months
    return dg.AssetCheckResult(
        passed=absent.is_empty(),
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{coverage.instruments['months'].sum():,} months are stored, {absent.height:,} between them are "
        f"missing; {coverage.gaps.height:,} gaps.",
        metadata={
            "coverage": rows_table(coverage.instruments),
            "missing months": rows_table(absent),
            "gaps": rows_table(coverage.gaps.sort("bars", descending=True, maintain_order=True)),
        },
    )


@dg.asset_check(
    asset=bars_15m,
    description="On days chosen by hash, stored bars equal those that the venue's REST interface gives now: prices "
    "exactly, volumes to 1e-9.",
)
def second_source(research: dg.ResourceParam[Research]) -> dg.AssetCheckResult:
    """Stored bars against the venue's."""
    if not research.has_tail:
        return dg.AssetCheckResult(
            passed=True, description=f"There is no second source: {research.market_data} has no REST interface."
        )
    try:
        return _compare_with_venue(research)
    except UnreachableError as error:
        # That the venue is away says nothing about what is stored, and is no reason to fail what was made.
        return dg.AssetCheckResult(
            passed=False, severity=dg.AssetCheckSeverity.WARN, description=f"Not compared: {error}"
        )


def _compare_with_venue(research: Research) -> dg.AssetCheckResult:
    disagreements, days, compared = [_no_rows(DISAGREEMENT_SCHEMA)], [], 0
    for instrument, day in _days_to_compare(research):
        window = day_window(day)
        with research.rest() as venue:
            rows = venue.klines(_symbol(research, instrument), interval="15m", window=window)
        stored = research.lake.read("bars_15m", instrument=instrument, month=f"{day:%Y-%m}")
        found = compare_with_second_source(stored, klines_from_rest(rows, interval="15m").frame, span=window)
        compared += found.compared
        days.append({"instrument": instrument, "day": f"{day}", "compared": found.compared})
        disagreements.append(_named(found.disagreements, instrument))
    different = pl.concat(disagreements)
    return dg.AssetCheckResult(
        passed=different.is_empty(),
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{compared:,} bars of {len(days):,} days compared, {different.height:,} values differ.",
        metadata={"days": rows_table(days), "disagreements": rows_table(different)},
    )


@dg.asset_check(
    asset=bars_15m,
    description="Where bars can be made from minutes and the venue publishes them too, both are equal: prices exactly, "
    "volumes to 1e-9.",
)
def minutes_against_15m(research: dg.ResourceParam[Research]) -> dg.AssetCheckResult:
    """Bars from minutes against published ones, as compared when each month was made."""
    compared, differences = 0, [_no_rows(DIFFERENCES_SCHEMA)]
    for instrument in research.settings.research.instruments:
        for facts in _bar_facts(research, instrument).values():
            compared += facts["cross_check"]["compared"]
            rows = [
                {**row, "opened_at": datetime.fromisoformat(row["opened_at"])}
                for row in facts["cross_check"]["differences"]
            ]
            differences.append(_named(pl.DataFrame(rows, schema=DIFFERENCES_SCHEMA), instrument))
    different = pl.concat(differences)
    return dg.AssetCheckResult(
        passed=different.is_empty(),
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{compared:,} bars exist both ways, {different.height:,} values differ.",
        metadata={"compared": compared, "differences": rows_table(different)},
    )


@dg.asset_check(
    asset=funding_features,
    description="In months chosen by hash, no feature changes in any bit when it is made again without what came "
    "later.",
)
def no_look_ahead(research: dg.ResourceParam[Research]) -> dg.AssetCheckResult:
    """Nothing from the future."""
    found, cuts = [_no_rows(HINDSIGHT_SCHEMA)], []
    for instrument, month in _months_to_recompute(research):
        stored = research.lake.read("funding_features", instrument=instrument, month=month)
        instants = cut_instants(month)
        changed = find_hindsight(
            stored,
            _inputs(research, instrument, month),
            research.settings.feature_settings,
            instrument_id=instrument,
            instants=instants,
        )
        cuts += [{"instrument": instrument, "known_until": instant} for instant in instants]
        found.append(_named(changed, instrument))
    changes = pl.concat(found)
    return dg.AssetCheckResult(
        passed=changes.is_empty(),
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"History was cut off at {len(cuts):,} instants, {changes.height:,} earlier values changed.",
        metadata={"cuts": rows_table(cuts), "changes": rows_table(changes)},
    )


@dg.asset_check(
    asset=funding_features,
    description="In months chosen by hash, every feature equals that of a second implementation, which shares no code.",
)
def independent_implementation(research: dg.ResourceParam[Research]) -> dg.AssetCheckResult:
    """The same features by other means."""
    found, months = [_no_rows(DEPARTURES_SCHEMA)], []
    for instrument, month in _months_to_recompute(research):
        stored = research.lake.read("funding_features", instrument=instrument, month=month)
        inputs = _inputs(research, instrument, month)
        others = features_by_other_means(
            inputs.bars, inputs.funding, inputs.open_interest, research.settings.feature_settings
        )
        months.append({"instrument": instrument, "month": month, "rows": stored.height})
        found.append(_named(find_departures(stored, others), instrument))
    departures = pl.concat(found)
    return dg.AssetCheckResult(
        passed=departures.is_empty(),
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{len(months):,} months made a second time, {departures.height:,} values differ by more than "
        f"{TOLERANCE:g}.",
        metadata={"months": rows_table(months), "departures": rows_table(departures)},
    )


CROSS_PARTITION_CHECKS: list[dg.AssetChecksDefinition] = [
    gap_map,
    second_source,
    minutes_against_15m,
    no_look_ahead,
    independent_implementation,
]


def _bar_facts(research: Research, instrument: str) -> Mapping[str, Mapping[str, Any]]:
    """Facts of every stored month of an instrument's bars."""
    return {
        month: research.lake.facts("bars_15m", instrument=instrument, month=month)
        for month in research.lake.months("bars_15m", instrument=instrument)
    }


def _days_to_compare(research: Research) -> Iterator[tuple[str, date]]:
    for instrument in research.settings.research.instruments:
        facts = _bar_facts(research, instrument)
        if facts:
            until = covered_until(max(facts), facts[max(facts)])
            count = research.settings.checks.second_source_days
            for day in sample_days(instrument, list(facts), count=count, until=until):
                yield instrument, day


def _months_to_recompute(research: Research) -> Iterator[tuple[str, str]]:
    """Months that are stored as they would be made now: the inputs of the others are not those they were made from."""
    for instrument in research.settings.research.instruments:
        stored = research.lake.months("funding_features", instrument=instrument)
        stale = FUNDING_FEATURES.compare(research, [(instrument, month) for month in stored])
        months = [month for month in stored if (instrument, month) not in stale]
        for month in sorted(sample(months, count=research.settings.checks.recomputed_months, salt=instrument)):
            yield instrument, month


def _inputs(research: Research, instrument: str, month: str) -> FeatureInputs:
    """What a month's features were made from."""
    bars, funding, open_interest = (
        pl.concat(
            research.lake.read(asset, instrument=instrument, month=read)
            for read in months_read(research, asset, (instrument, month))
        )
        for asset in INPUTS
    )
    return FeatureInputs(bars=bars, funding=funding, open_interest=open_interest)


def _symbol(research: Research, instrument: str) -> str:
    (record,) = (each for each in research.settings.instrument_records if each.instrument_id == instrument)
    return record.symbol


def _named(rows: pl.DataFrame, instrument: str) -> pl.DataFrame:
    return rows.select(pl.lit(instrument).alias("instrument"), pl.all())


def _no_rows(schema: pl.Schema) -> pl.DataFrame:
    return pl.Schema({"instrument": pl.String(), **schema}).to_frame()
