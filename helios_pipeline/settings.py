"""`helios.toml` and the environment, as one frozen `Settings`.

Numbers are read as Decimal, so a price step or a fee is what the file says, and no setting that changes a result has
a default here.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator

from helios_pipeline.core.calendar import month_start, months_between
from helios_pipeline.core.errors import ManifestError, SettingsError
from helios_pipeline.core.keys import PublicKey
from helios_pipeline.core.monthly_checks import ACCEPTABLE, CheckLimits
from helios_pipeline.core.records import AllocationLimits, Costs, FeatureSettings, Instrument
from helios_pipeline.live_settings import (
    LiveSection,
    LiveVenuesSection,
    RiskGateSection,
    TradedInstrumentSection,
    WatchdogSection,
)
from helios_pipeline.section import Fraction, InstrumentId, NotNegative, Port, Positive, Section

ENVIRONMENT = {
    "HELIOS_HOME": ("paths", "home"),
    "HELIOS_ARCHIVE_URL": ("data", "archive_url"),
    "HELIOS_REST_URL": ("data", "rest_url"),
    "HELIOS_DATABASE_URL": ("database", "url"),
    "HELIOS_LIVE_NETWORK": ("live", "network"),
    "HELIOS_BINANCE_URL": ("live_venues", "binance_http"),
    "HELIOS_BINANCE_WS_URL": ("live_venues", "binance_ws"),
    "HELIOS_DYDX_URL": ("live_venues", "dydx_http"),
    "HELIOS_DYDX_WS_URL": ("live_venues", "dydx_ws"),
    "HELIOS_DYDX_GRPC": ("live_venues", "dydx_grpc"),
}
"""Environment variable → the key it sets."""

MINUTE_MS = 60_000

CRON_FIELD = re.compile(r"(\*|[0-9]+(-[0-9]+)?)(/[1-9][0-9]*)?(,(\*|[0-9]+(-[0-9]+)?)(/[1-9][0-9]*)?)*")
CRON_LIMITS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
"""Of minute, hour, day of the month, month and day of the week."""


def _month(value: str) -> str:
    try:
        month_start(value)
    except SettingsError as error:
        raise ValueError(str(error)) from None
    return value


def _base_url(value: str) -> str:
    parts = urlsplit(value)
    if "@" in parts.netloc or parts.query:
        # It would be in messages and records; what was found is not repeated, since it may be a secret.
        raise ValueError("expected an address without user name, password or query, found one with them")
    if parts.scheme not in {"https", "http", "file"}:
        raise ValueError("an address beginning with https://, http:// or file://")
    return value.rstrip("/")


def _cron(value: str) -> str:
    fields = value.split(" ")
    allowed = len(fields) == len(CRON_LIMITS) and all(
        CRON_FIELD.fullmatch(field) and all(low <= int(number) <= high for number in re.findall("[0-9]+", field))
        for field, (low, high) in zip(fields, CRON_LIMITS, strict=True)
    )
    if not allowed:
        raise ValueError("a cron expression of five fields, in UTC, such as 20 0 * * *")
    return value


def _public_key(value: str) -> str:
    try:
        return PublicKey.parse(value).text
    except ManifestError as error:
        raise ValueError(str(error)) from None


def _acceptable_check(value: str) -> str:
    if value not in ACCEPTABLE:
        raise ValueError(f"one of the checks that judge what the source published ({', '.join(ACCEPTABLE)})")
    return value


Month = Annotated[str, AfterValidator(_month)]
BaseUrl = Annotated[str, AfterValidator(_base_url)]
PublicKeyText = Annotated[str, AfterValidator(_public_key)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""One that every generator takes: Optuna's is the one with the fewest."""

MOST_BARS = 1_000_000
"""Of a parameter: 28 years of 15-minute bars, and far from where 64 bits end."""

MOST_SETS = 10_000_000
"""Of a sampled round: more than memory holds would be drawn for hours before it said so."""


class ResearchSection(Section):
    """What is researched, over which months, on which account."""

    instruments: Annotated[tuple[InstrumentId, ...], Field(min_length=1)]
    first_month: Annotated[Month, Field(alias="from")]
    last_month: Annotated[Month, Field(alias="to")]
    initial_equity_quote: Positive
    workers: Annotated[int, Field(ge=0)]
    backtest_memory_mb: Annotated[int, Field(ge=100)]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not months_between(self.first_month, self.last_month):
            raise ValueError(f"`from` not later than `to`, found {self.first_month} to {self.last_month}")
        if len(set(self.instruments)) != len(self.instruments):
            raise ValueError("each instrument once")
        return self


class PathsSection(Section):
    """Where Helios keeps what it makes."""

    home: Path


class DataSection(Section):
    """Where market data comes from and how it is fetched."""

    archive_url: BaseUrl
    rest_url: BaseUrl
    concurrency: Annotated[int, Field(ge=1, le=64)]
    attempts: Annotated[int, Field(ge=1, le=20)]
    timeout_seconds: Annotated[float, Field(gt=0)]
    open_interest_delay_minutes: Annotated[int, Field(ge=5)]


class DatabaseSection(Section):
    """Which PostgreSQL: the embedded one unless an address is given."""

    url: SecretStr | None = None


class InstrumentSection(Section):
    """One instrument as its venue lists it."""

    id: InstrumentId
    tick: Positive
    lot: Positive
    min_quantity: Positive
    min_notional_quote: Positive
    max_notional_quote: Positive

    def record(self) -> Instrument:
        """The record that stages take."""
        return Instrument(instrument_id=self.id, **self.model_dump(exclude={"id"}))


class CostsSection(Section):
    """What trading costs."""

    fee_fraction: NotNegative
    half_spread_bps: NotNegative
    slippage_bps: NotNegative
    stop_slippage_bps: NotNegative

    def record(self) -> Costs:
        """The record that stages take."""
        return Costs(**self.model_dump())


class FeaturesSection(Section):
    """What features are made from."""

    funding_lookback: Annotated[int, Field(ge=2)]
    funding_std_floor: Annotated[float, Field(gt=0)]
    atr_bars: Annotated[int, Field(ge=1)]
    vol_lookback: Annotated[int, Field(ge=2)]
    periods_per_year: Annotated[int, Field(ge=1)]
    max_gap_bars: Annotated[int, Field(ge=0)]


class AcceptedSection(Section):
    """A damaged month that a person has looked at and accepts."""

    instrument: InstrumentId
    month: Month
    check: Annotated[str, AfterValidator(_acceptable_check)]
    reason: Annotated[str, Field(min_length=1)]


class ChecksSection(Section):
    """What market data must be before it is stored."""

    max_refused_rows: Annotated[int, Field(ge=0)]
    max_missing_fraction: Fraction
    max_gap_bars: Annotated[int, Field(ge=0)]
    second_source_days: Annotated[int, Field(ge=1)]
    recomputed_months: Annotated[int, Field(ge=1)]
    accepted: tuple[AcceptedSection, ...] = ()

    @property
    def limits(self) -> CheckLimits:
        """The record that the data stage takes."""
        return CheckLimits(
            max_refused_rows=self.max_refused_rows,
            max_missing_fraction=self.max_missing_fraction,
            max_gap_bars=self.max_gap_bars,
        )

    def acceptance(self, check: str, *, instrument: str, month: str) -> str | None:
        """Why a person accepts what a check finds in a month; None if nobody does."""
        for entry in self.accepted:
            if (entry.check, entry.instrument, entry.month) == (check, instrument, month):
                return entry.reason
        return None


class LimitsSection(Section):
    """How much may be held."""

    vol_target: Annotated[float, Field(gt=0)]
    max_leverage: Annotated[float, Field(gt=0)]
    gross_cap: Annotated[float, Field(gt=0)]
    max_open: Annotated[int, Field(ge=1)]

    def record(self) -> AllocationLimits:
        """The record that stages take."""
        return AllocationLimits(**self.model_dump())


class GridSection(Section):
    """The values of each parameter; a round is their product."""

    lookback_bars: Annotated[tuple[Annotated[int, Field(ge=2, le=MOST_BARS)], ...], Field(min_length=1)]
    funding_weight: Annotated[tuple[float, ...], Field(min_length=1)]
    entry_z: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)]
    exit_z: Annotated[tuple[float, ...], Field(min_length=1)]
    max_holding_bars: Annotated[tuple[Annotated[int, Field(ge=1, le=MOST_BARS)], ...], Field(min_length=1)]
    cooldown_bars: Annotated[tuple[Annotated[int, Field(ge=0, le=MOST_BARS)], ...], Field(min_length=1)]
    stop_atr: Annotated[tuple[Annotated[float, Field(ge=0)], ...], Field(min_length=1)]


class SearchSection(Section):
    """How a round chooses its sets from the region that the grid spans."""

    sampler: Literal["grid", "random", "sobol", "optuna"]
    sets: Annotated[int, Field(ge=1, le=MOST_SETS)]
    seed: Seed


class ConstraintsSection(Section):
    """What a parameter set must reach in sample."""

    min_round_trips: Annotated[int, Field(ge=0)]
    max_drawdown_fraction: Fraction
    min_sharpe: float
    min_win_rate: Fraction


class WalkForwardSection(Section):
    """How folds are laid."""

    scheme: Literal["rolling", "anchored"]
    in_sample_days: Annotated[int, Field(ge=60)]
    out_of_sample_days: Annotated[int, Field(ge=1)]
    purge_bars: Annotated[int, Field(ge=0)]
    embargo_bars: Annotated[int, Field(ge=0)]


class BiasSection(Section):
    """How a round is checked for self-deception."""

    sets: Annotated[int, Field(ge=1)]
    cuts: Annotated[int, Field(ge=1)]
    cost_factors: Annotated[tuple[Annotated[float, Field(ge=0)], ...], Field(min_length=1)]
    survived_cost_factor: Annotated[float, Field(gt=0)]
    late_bars: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]
    shuffles: Annotated[int, Field(ge=1)]
    shuffled_sets: Annotated[int, Field(ge=2)]
    seed: Seed


class GatesSection(Section):
    """What a candidate must reach to be promoted."""

    min_deflated_sharpe: Annotated[float, Field(ge=0.5, lt=1)]
    max_pbo: Fraction
    min_out_of_sample_sharpe: float
    min_retention: float
    min_out_of_sample_round_trips: Annotated[int, Field(ge=0)]
    min_positive_folds: Fraction
    agreement_sets: Annotated[int, Field(ge=1)]


class StatisticsSection(Section):
    """How the statistics beside the gates are drawn."""

    confidence: Annotated[float, Field(gt=0, lt=1)]
    draws: Annotated[int, Field(ge=100)]
    clustered_sets: Annotated[int, Field(ge=4)]
    cluster_starts: Annotated[int, Field(ge=1)]
    seed: Seed


class HoldoutSection(Section):
    """The bars used once at the end, and the test on them."""

    days: Annotated[int, Field(ge=1)]
    significance: Annotated[float, Field(gt=0, lt=1)]
    bootstrap_block_days: Annotated[int, Field(ge=1)]
    bootstrap_draws: Annotated[int, Field(ge=100)]
    seed: Seed


class PromotionSection(Section):
    """What a promotion grants."""

    valid_days: Annotated[int, Field(ge=1)]


class KeysSection(Section):
    """Public keys that may sign a champion for each network."""

    paper: tuple[PublicKeyText, ...]
    testnet: tuple[PublicKeyText, ...]
    mainnet: tuple[PublicKeyText, ...]


class DagsterSection(Section):
    """How Dagster's processes work for us."""

    daily_refresh_cron: Annotated[str, AfterValidator(_cron)]
    venue_requests: Annotated[int, Field(ge=1)]
    max_concurrent_runs: Annotated[int, Field(ge=1)]
    max_runtime_minutes: Annotated[int, Field(ge=1)]
    keep_event_logs_days: Annotated[int, Field(ge=1)]


class SimulatedInstrumentSection(Section):
    """How one simulated instrument moves and trades; tick and lot are those of its [[instruments]] table."""

    id: InstrumentId
    start_price: Positive
    daily_volatility: Annotated[float, Field(gt=0, lt=0.5)]
    daily_volume: Annotated[float, Field(gt=0)]
    trades_per_day: Annotated[int, Field(ge=5760)]


class SimulatedMarketSection(Section):
    """The market of `helios demo` and `helios simulate`."""

    seed: Seed
    edge: Annotated[float, Field(ge=0)]
    edge_half_life: Annotated[float, Field(ge=30, le=14_400)]
    planted_sharpe: float
    factor_share: Fraction
    regimes: tuple[str, ...]
    first_month: Annotated[Month, Field(alias="from")]
    last_month: Annotated[Month, Field(alias="to")]
    instruments: Annotated[tuple[SimulatedInstrumentSection, ...], Field(min_length=1)]


class SimulatedVenuesSection(Section):
    """How `helios simulate` serves that market."""

    time_scale: Annotated[int, Field(ge=1)]
    binance_port: Port
    dydx_port: Port
    grpc_port: Port
    weight_per_minute: Annotated[int, Field(ge=1)]
    connection_hours: Annotated[float, Field(gt=0)]
    ping_seconds: Annotated[float, Field(gt=0)]
    block_ms: Annotated[int, Field(ge=50)]
    chain_id: Annotated[str, Field(min_length=1)]
    deposit_usdc: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _in_whole_milliseconds(self) -> Self:
        if MINUTE_MS % self.time_scale:
            raise ValueError(f"time_scale: expected a divisor of {MINUTE_MS:,}, found {self.time_scale}")
        return self

    @property
    def raw_interval_ms(self) -> int:
        """Length of a raw bar of the market: a minute, or what the time scale makes of it."""
        return MINUTE_MS // self.time_scale


class Settings(Section):
    """Everything that decides what a run does."""

    research: ResearchSection
    paths: PathsSection
    data: DataSection
    database: DatabaseSection = DatabaseSection()
    instruments: tuple[InstrumentSection, ...]
    costs: CostsSection
    features: FeaturesSection
    checks: ChecksSection
    limits: LimitsSection
    grid: GridSection
    search: SearchSection
    constraints: ConstraintsSection
    walk_forward: WalkForwardSection
    bias: BiasSection
    gates: GatesSection
    statistics: StatisticsSection
    holdout: HoldoutSection
    promotion: PromotionSection
    keys: KeysSection
    dagster: DagsterSection
    simulated_market: SimulatedMarketSection
    simulated_venues: SimulatedVenuesSection
    live: LiveSection
    live_instruments: Annotated[tuple[TradedInstrumentSection, ...], Field(min_length=1)]
    live_venues: LiveVenuesSection
    risk_gate: RiskGateSection
    watchdog: WatchdogSection

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        known = {instrument.id for instrument in self.instruments}
        if unknown := sorted(set(self.research.instruments) - known):
            raise ValueError(
                f"research.instruments: expected ids that have an [[instruments]] table ({', '.join(sorted(known))}), "
                f"found {', '.join(unknown)}"
            )
        if strangers := sorted({entry.instrument for entry in self.checks.accepted} - known):
            raise ValueError(
                f"checks.accepted: expected ids that have an [[instruments]] table ({', '.join(sorted(known))}), "
                f"found {', '.join(strangers)}"
            )
        for key in ("signal", "trade"):
            ids = [getattr(entry, key) for entry in self.live_instruments]
            if twice := sorted({each for each in ids if ids.count(each) > 1}):
                raise ValueError(
                    f"live_instruments.{key}: expected each instrument once, found {', '.join(twice)} more than once"
                )
        longest = max(self.grid.max_holding_bars)
        if self.walk_forward.purge_bars < longest:
            raise ValueError(
                f"walk_forward.purge_bars: expected at least the longest grid.max_holding_bars ({longest}), "
                f"found {self.walk_forward.purge_bars}"
            )
        return self

    @property
    def home(self) -> Path:
        """The folder of everything Helios keeps, absolute."""
        return self.paths.home

    def lake_folder(self, market_data: str) -> Path:
        """Where frames of a market are kept."""
        return self.home / "lake" / market_data.replace(" ", "-")

    @property
    def instrument_records(self) -> tuple[Instrument, ...]:
        """The researched instruments, sorted by id."""
        chosen = set(self.research.instruments)
        return tuple(sorted((i.record() for i in self.instruments if i.id in chosen), key=lambda i: i.instrument_id))

    @property
    def feature_settings(self) -> FeatureSettings:
        """The record that the feature stage takes."""
        delay = self.data.open_interest_delay_minutes
        return FeatureSettings(**self.features.model_dump(), open_interest_delay_minutes=delay)

    def shown(self) -> dict[str, Any]:
        """The effective settings as plain values, with every secret hidden."""
        values = self.model_dump(mode="json", by_alias=True)
        secret = self.database.url
        values["database"] = {"url": "embedded" if secret is None else hide_password(secret.get_secret_value())}
        return values


def hide_password(url: str) -> str:
    """A database address with its password, if any, shown as `***`; option values are dropped."""
    parts = urlsplit(url)
    if parts.password is not None:
        host = parts.netloc.rpartition("@")[2]
        parts = parts._replace(netloc=f"{parts.username}:***@{host}")
    return urlunsplit(parts._replace(query=""))


def load_settings(
    path: Path, environment: Mapping[str, str], overrides: Mapping[tuple[str, str], Any] | None = None
) -> Settings:
    """Read the file, then the environment, then what the command line says, the later winning.

    Args:
        path: `helios.toml`.
        environment: usually `os.environ`; the variables of `ENVIRONMENT` are read.
        overrides: (section, key) → value, from command-line options.

    Raises:
        SettingsError: the file is absent or not TOML, a key is unknown or missing, or a value is not allowed; names
            the key, the value and what is allowed.
    """
    values = _read(path)
    given = {key: environment[name] for name, key in ENVIRONMENT.items() if environment.get(name)}
    # One after the other, so that each answers for its own: what is wrong in the file is not hidden by an option.
    settings = _validated(values, path.name)
    for source, changes in (("environment", given), ("command line", overrides or {})):
        for (section, key), value in changes.items():
            values.setdefault(section, {})[key] = value
        if changes:
            settings = _validated(values, source)
    home = path.resolve().parent / Path(os.path.expanduser(settings.paths.home))
    return settings.model_copy(update={"paths": PathsSection(home=home)})


def _validated(values: dict[str, Any], source: str) -> Settings:
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_explain(source, error)) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except FileNotFoundError:
        raise SettingsError(
            f"settings: expected a file at {path}, found none. Run this where helios.toml is, or pass --config PATH."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SettingsError(f"settings: expected TOML in {path}, found: {error}") from None


def _explain(source: str, error: ValidationError) -> str:
    """One line for all problems: where they come from, key, what is allowed, what was found."""
    problems = error.errors(include_url=False)
    # A list without its refused elements may be too short: that follows from them, so it is not said.
    parents = {problem["loc"][:-1] for problem in problems}
    return (
        f"{source}: " + "; ".join(_problem(dict(p)) for p in problems if p["loc"] not in parents or not p["loc"]) + "."
    )


def _problem(problem: dict[str, Any]) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    found = problem["input"]
    # A whole table is too long to show, and the database address may hold a password.
    hidden = isinstance(found, dict | Section) or key == "database.url" or ", found " in message
    shown = "" if hidden else f", found {_short(found)}"
    if problem["type"] == "extra_forbidden":
        return f"{key}: unknown key{shown}. Remove it or correct its spelling"
    if problem["type"] == "missing":
        return f"{key}: expected a value, found none"
    return f"{key}: {message[0].lower()}{message[1:]}{shown}" if key else message


def _short(value: object) -> str:
    text = repr(str(value) if isinstance(value, Decimal | Path) else value)
    return text if len(text) <= 80 else f"{text[:77]}..."
