"""The round that the settings in force describe, or a stored one by its name, and the market data it reads."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

import polars as pl

from assets.research import Research
from helios_pipeline.core.calendar import month_start, months_between, next_month
from helios_pipeline.core.errors import SettingsError
from helios_pipeline.core.records import Window
from helios_pipeline.core.selection import Constraints
from helios_pipeline.core.version import content_version
from helios_pipeline.simulation.inputs import SimulationInputs, build_inputs
from helios_pipeline.strategy.parameters import STRATEGY_VERSION
from helios_pipeline.sweep.grid import Grid
from helios_pipeline.sweep.ledger import TrialContext
from helios_pipeline.sweep.search import EVERY_POINT, Search

MARKET_DATA = ("bars_15m", "funding_features", "raw_funding_rates")
"""What a simulation reads of each month."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundPlan:
    """One optimization round, before it runs.

    Attributes:
        name: months and a hash of everything that is searched: equal settings give the same round.
        months: months that are read, in order.
        window: what sweep and folds may see.
        holdout: the whole days after it, used once at the end.
        grid: the points, or the region that is sampled.
        search: how the sets are chosen from it.
        constraints: what a set must reach in sample.
        context: what all its trials share.
    """

    name: str
    months: tuple[str, ...]
    window: Window
    holdout: Window
    grid: Grid
    search: Search
    constraints: Constraints
    context: TrialContext


def plan_round(research: Research) -> RoundPlan:
    """Read the round out of the settings and the stored data's end.

    Raises:
        SettingsError: the holdout leaves nothing to search.
    """
    settings = research.settings
    return _plan(research, Grid(**settings.grid.model_dump()), Search(**settings.search.model_dump()))


def _plan(research: Research, grid: Grid, search: Search) -> RoundPlan:
    settings = research.settings
    first, to = settings.research.first_month, settings.research.last_month
    # Search and holdout are whole days: no day's return is cut in two, and a run later on the same day, which has some
    # bars more, looks at the same holdout again instead of taking another look.
    last = min(month_start(next_month(to)), _data_end(research)).replace(hour=0, minute=0)
    holdout_first = last - timedelta(days=settings.holdout.days)
    if holdout_first <= month_start(first):
        raise SettingsError(
            f"research: expected more than holdout.days = {settings.holdout.days} of data from {first} on, found it "
            f"to end at {last:%Y-%m-%d}. Choose an earlier `from`, a later `to` or a shorter holdout."
        )
    context = TrialContext(
        strategy_version=STRATEGY_VERSION,
        instruments=settings.instrument_records,
        costs=settings.costs.record(),
        limits=settings.limits.record(),
        feature_settings=settings.feature_settings,
    )
    constraints = Constraints(**settings.constraints.model_dump())
    window = Window(first=month_start(first), last=holdout_first)
    searched = content_version(
        "round",
        "1",
        market_data=research.market_data,
        window=window,
        grid=asdict(grid),
        constraints=constraints,
        context=context.canonical(),
        equity=settings.research.initial_equity_quote,
        # A grid is the same round whatever a sampler would be told.
        **({"search": asdict(search)} if search.sampled else {}),
    )
    return RoundPlan(
        name=f"{first}_{to}_{searched[:8]}",
        months=tuple(months_between(first, to)),
        window=window,
        holdout=Window(first=holdout_first, last=last),
        grid=grid,
        search=search,
        constraints=constraints,
        context=context,
    )


def plan_named_round(research: Research, name: str) -> RoundPlan:
    """The round of that name, if the settings in force describe it, or all of it but the grid and the search.

    A round that a file described is one of them: what it searched is stored with it.

    Raises:
        SettingsError: the settings describe another round.
    """
    present, stored = plan_round(research), _plan_stored(research, name)
    for plan in (present, stored):
        if plan is not None and plan.name == name:
            return plan
    raise SettingsError(
        f"round {name}: expected the round that helios.toml describes, which is {present.name}, or a stored one that "
        "differs from it in grid and search alone. Set the months, costs, limits and constraints of that round again; "
        "if its sweep never ended, run `helios research --grid FILE` with its file."
    )


def _plan_stored(research: Research, name: str) -> RoundPlan | None:
    """The settings' round with the grid and the search of a stored one; None if no round of that name is stored."""
    facts = research.lake.facts_named("sweep_results", name)
    if not facts:
        return None
    # Rounds of before there were samplers are grids.
    search = Search(**facts["search"]) if "search" in facts else EVERY_POINT
    return _plan(research, Grid.from_values(facts["grid"]), search)


def market_data_versions(research: Research, plan: RoundPlan, last: datetime) -> dict[str, str | None]:
    """Versions of every partition that is read up to an instant."""
    return {
        f"{asset} {instrument.instrument_id} {month}": research.lake.version(
            asset, instrument=instrument.instrument_id, month=month
        )
        for instrument in plan.context.instruments
        for asset in MARKET_DATA
        for month in plan.months
        if month_start(month) < last
    }


def load_inputs(research: Research, plan: RoundPlan, window: Window) -> SimulationInputs:
    """Load the markets up to a window's end; earlier bars warm its features, later ones are not even read."""
    frames = {asset: load_frames(research, plan, asset, window.last) for asset in MARKET_DATA}
    return build_inputs(
        plan.context.instruments,
        frames["bars_15m"],
        frames["funding_features"],
        frames["raw_funding_rates"],
        costs=plan.context.costs,
        limits=plan.context.limits,
        feature_settings=plan.context.feature_settings,
        initial_equity_quote=research.settings.research.initial_equity_quote,
        window=window,
    )


def load_frames(research: Research, plan: RoundPlan, asset: str, last: datetime) -> Mapping[str, pl.DataFrame]:
    """One of `MARKET_DATA` by instrument, up to an instant; settlements of that instant included."""
    stamp = "settled_at" if asset == "raw_funding_rates" else "opened_at"
    months = [month for month in plan.months if month_start(month) < last]
    return {
        instrument.instrument_id: pl.concat(
            research.lake.read(asset, instrument=instrument.instrument_id, month=month) for month in months
        ).filter(pl.col(stamp) <= last if stamp == "settled_at" else pl.col(stamp) < last)
        for instrument in plan.context.instruments
    }


def _data_end(research: Research) -> datetime:
    """The earliest instant at which one of the instruments' klines end."""
    month = research.settings.research.last_month
    ends = [
        research.lake.facts("raw_klines", instrument=instrument, month=month).get("covers_until")
        for instrument in research.settings.research.instruments
    ]
    known = [datetime.fromisoformat(end).astimezone(UTC) for end in ends if isinstance(end, str)]
    if len(known) < len(ends):
        raise SettingsError(
            f"research: expected raw_klines of {month} for every instrument, found {len(known)} of {len(ends)}. "
            "Run `helios ingest` for these months first."
        )
    return min(known)
