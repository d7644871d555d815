"""The registry of venues: by name, everything the engine needs to hear one and to trade there.

A venue is an entry in `VENUES`; strategy, gate, journal and node know none by name. `docs/adapters.md` says how to
write another one. On the network `paper` a venue's prices, funding and fees are real and its orders are our own: the
same entry without its execution. Adapters are imported when their venue is asked for: an engine loads no other.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from helios_pipeline.core.errors import EngineError
from helios_pipeline.core.market_data import MarketHistory
from helios_pipeline.core.venues import AccountHistory, AccountReader, ContractSize, RecordSink
from helios_pipeline.execution.traded_market import TradedMarket
from helios_pipeline.live_settings import LiveSection, LiveVenuesSection, TradedInstrumentSection

if TYPE_CHECKING:
    from nautilus_trader.config import LiveDataClientConfig, LiveExecClientConfig
    from nautilus_trader.live.factories import LiveDataClientFactory, LiveExecClientFactory

    from helios_pipeline.adapters.dydx.addresses import DydxAddresses
    from helios_pipeline.adapters.paper.settlements import SettlementSource


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueChoice:
    """What of the settings decides which venues are used and how.

    Attributes:
        live: what is traded where.
        addresses: where venues are.
        instruments: which contract is traded on what another one's prices say.
    """

    live: LiveSection
    addresses: LiveVenuesSection
    instruments: tuple[TradedInstrumentSection, ...]

    @property
    def on_paper(self) -> bool:
        """Whether orders are carried out by ourselves."""
        return self.live.network == "paper"


@dataclass(frozen=True, slots=True, kw_only=True)
class TradedInstrument:
    """A contract that is traded, and the one whose prices decide.

    Attributes:
        instrument_id: traded: `BTC-USD-PERP.DYDX`.
        signal_instrument_id: heard: `BTCUSDT-PERP.BINANCE`.
        maker_fee_fraction, taker_fee_fraction: of notional, as configured: paper takes them, a venue takes its own.
    """

    instrument_id: str
    signal_instrument_id: str
    maker_fee_fraction: Decimal
    taker_fee_fraction: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class DataParts:
    """A market data client for NautilusTrader's node: `data_clients[name]` and its factory."""

    name: str
    config: "LiveDataClientConfig"
    factory: "type[LiveDataClientFactory]"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionParts:
    """An execution client for NautilusTrader's node: `exec_clients[name]` and its factory."""

    name: str
    config: "LiveExecClientConfig"
    factory: "type[LiveExecClientFactory]"


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueParts:
    """The venue that is traded.

    Attributes:
        name: of the venue, and of both clients.
        account: that it trades, as NautilusTrader names it.
        currency: that the account is kept in.
        has_blocks: whether its execution client follows blocks: `height`, `height_at`.
        quote_rounding: most by which the venue's booking of a fill or payment differs from what its record says.
        data: hears its prices; the same as `signal_parts` gives where both venues are one.
        execution: sends orders, journals what the venue says, then tells NautilusTrader.
        reader: reads the account independently of `execution`.
        traded: in the order of the settings.
    """

    name: str
    account: str
    currency: str
    has_blocks: bool
    quote_rounding: Decimal
    data: DataParts
    execution: ExecutionParts
    reader: AccountReader
    traded: tuple[TradedInstrument, ...]


type Execution = Callable[
    [VenueChoice, Mapping[str, str], RecordSink, AccountHistory], tuple[ExecutionParts, AccountReader]
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """An entry of the registry.

    Attributes:
        currency: that accounts are kept in, NautilusTrader's code.
        data: makes the client that hears instruments, by their ids.
        settlements: reads what the venue published of funding; paper books it.
        sizes: reads the steps of contracts, by their ids.
        history: reads what was published of prices, with so many attempts; None where the venue is never the signal.
        has_blocks: whether real orders go into blocks.
        quote_rounding: most by which a booking differs from its record, in quote currency.
        account: id of the account that the environment's key opens; None where there are paper orders only.
        execution: client and reader for real orders; None where there are paper orders only.
    """

    currency: str
    data: "Callable[[LiveVenuesSection, tuple[str, ...]], DataParts]"
    settlements: "Callable[[LiveVenuesSection], SettlementSource]"
    sizes: Callable[[LiveVenuesSection, tuple[str, ...]], Mapping[str, ContractSize]]
    history: Callable[[LiveVenuesSection, int], MarketHistory] | None = None
    has_blocks: bool = False
    quote_rounding: Decimal = Decimal(0)
    account: Callable[[VenueChoice, Mapping[str, str]], str] | None = None
    execution: Execution | None = None


def account_id(choice: VenueChoice, environment: Mapping[str, str]) -> str:
    """The account that will be traded: names the journal, so it is asked before anything is opened.

    Raises:
        EngineError: the venue is unknown, or takes no real orders.
        SettingsError: the environment has no key for it; never on paper.
    """
    venue = _venue(choice.live.venue)
    if choice.on_paper:
        return f"{choice.live.venue}-paper"
    if venue.account is None:
        raise _paper_only(choice)
    return venue.account(choice, environment)


def venue_parts(
    choice: VenueChoice, environment: Mapping[str, str], sink: RecordSink, history: AccountHistory
) -> VenueParts:
    """Everything that trading at the chosen venue needs.

    Args:
        choice: of the settings.
        environment: keys come from there; paper needs none.
        sink: where the venue client writes what the venue said, before anybody acts on it.
        history: what the account's journal knows; the client starts from it.

    Raises:
        EngineError: the venue is unknown or takes no real orders, or an instrument is not one of its own.
        SettingsError: the environment has no key for it; never on paper.
    """
    name, venue = choice.live.venue, _venue(choice.live.venue)
    traded = tuple(_traded(each, name) for each in choice.instruments)
    account = account_id(choice, environment)
    execute = _paper if choice.on_paper else venue.execution
    if execute is None:
        raise _paper_only(choice)
    execution, reader = execute(choice, environment, sink, history)
    return VenueParts(
        name=name,
        account=account,
        currency=venue.currency,
        has_blocks=venue.has_blocks and not choice.on_paper,
        quote_rounding=Decimal(0) if choice.on_paper else venue.quote_rounding,
        data=venue.data(choice.addresses, _heard(choice, name)),
        execution=execution,
        reader=reader,
        traded=traded,
    )


def signal_parts(choice: VenueChoice) -> DataParts:
    """The client that hears the venue whose prices decide.

    Raises:
        EngineError: the venue is unknown.
    """
    name = choice.live.signal_venue
    return _venue(name).data(choice.addresses, _heard(choice, name))


def signal_history(choice: VenueChoice, attempts: int) -> MarketHistory:
    """What the signal venue published, for one thread.

    Raises:
        EngineError: the venue is unknown, or its prices decide nowhere.
    """
    name = choice.live.signal_venue
    history = _venue(name).history
    if history is None:
        raise EngineError(
            f"live.signal_venue: expected a venue whose history can be read, found {name}. Correct helios.toml."
        )
    return history(choice.addresses, attempts)


def traded_markets(choice: VenueChoice) -> tuple[TradedMarket, ...]:
    """Every market with the steps that its two venues list now, in the order of signal ids. Blocks.

    Raises:
        DataError: a venue does not answer.
        VenueError: it lists no such contract.
        EngineError: a venue is unknown.
    """
    signal, traded = choice.live.signal_venue, choice.live.venue
    heard = _venue(signal).sizes(choice.addresses, tuple(each.signal for each in choice.instruments))
    sizes = _venue(traded).sizes(choice.addresses, tuple(each.trade for each in choice.instruments))
    return tuple(
        TradedMarket(
            instrument_id=each.trade,
            signal_instrument_id=each.signal,
            signal_tick=heard[each.signal].tick,
            tick=sizes[each.trade].tick,
            lot=sizes[each.trade].lot,
            min_quantity=sizes[each.trade].min_quantity,
            min_notional_quote=sizes[each.trade].min_notional_quote,
        )
        for each in sorted(choice.instruments, key=lambda each: each.signal)
    )


def _venue(name: str) -> Venue:
    if name not in VENUES:
        raise EngineError(
            f"live.venue: expected one of {', '.join(sorted(VENUES))}, found {name}. Correct helios.toml."
        )
    return VENUES[name]


def _heard(choice: VenueChoice, venue: str) -> tuple[str, ...]:
    """Ids of a venue's instruments that decide or are traded, each once."""
    ids = [each.signal for each in choice.instruments] + [each.trade for each in choice.instruments]
    return tuple(dict.fromkeys(each for each in ids if each.endswith(f".{venue}")))


def _traded(section: TradedInstrumentSection, venue: str) -> TradedInstrument:
    if not section.trade.endswith(f".{venue}"):
        raise EngineError(
            f"live_instruments: expected contracts of {venue}, where orders go, found {section.trade}. "
            "Correct trade, or live.venue, in helios.toml."
        )
    return TradedInstrument(
        instrument_id=section.trade,
        signal_instrument_id=section.signal,
        maker_fee_fraction=section.maker_fee_fraction,
        taker_fee_fraction=section.taker_fee_fraction,
    )


def _paper_only(choice: VenueChoice) -> EngineError:
    return EngineError(
        f"live.venue: expected a venue that takes real orders on {choice.live.network}, found {choice.live.venue}, "
        'which Helios trades on paper only. Set network = "paper", or another venue, in helios.toml.'
    )


def _paper(
    choice: VenueChoice, environment: Mapping[str, str], sink: RecordSink, history: AccountHistory
) -> tuple[ExecutionParts, AccountReader]:
    """Orders that we carry out ourselves, at the venue's prices, fees and funding."""
    from helios_pipeline.adapters.paper.client import paper_execution_client
    from helios_pipeline.adapters.paper.terms import PaperFees, PaperTerms

    del environment
    name, venue = choice.live.venue, _venue(choice.live.venue)
    terms = PaperTerms(
        venue=name,
        account=f"{name}-paper",
        currency=venue.currency,
        opening_balance=choice.live.paper_equity_quote,
        funding_interval_seconds=choice.live.funding_interval_seconds,
        slippage_bps=choice.live.slippage_bps,
        fees={each.trade: PaperFees(each.maker_fee_fraction, each.taker_fee_fraction) for each in choice.instruments},
    )
    parts = paper_execution_client(terms, venue.settlements(choice.addresses), sink, history)
    return ExecutionParts(name=name, config=parts.config, factory=parts.factory), parts.reader


def _binance_data(addresses: LiveVenuesSection, instrument_ids: tuple[str, ...]) -> DataParts:
    from helios_pipeline.adapters.binance.live_client import binance_data_client

    config, factory = binance_data_client(addresses.binance_http, addresses.binance_ws, instrument_ids)
    return DataParts(name="BINANCE", config=config, factory=factory)


def _binance_settlements(addresses: LiveVenuesSection) -> "SettlementSource":
    from helios_pipeline.adapters.paper.settlements import BinanceSettlements

    return BinanceSettlements(addresses.binance_http)


def _binance_sizes(addresses: LiveVenuesSection, instrument_ids: tuple[str, ...]) -> Mapping[str, ContractSize]:
    from helios_pipeline.adapters.binance.sizes import binance_sizes

    return binance_sizes(addresses.binance_http, instrument_ids)


def _binance_history(addresses: LiveVenuesSection, attempts: int) -> MarketHistory:
    from helios_pipeline.adapters.binance.history import BinanceHistory

    return BinanceHistory(addresses.binance_http, attempts)


def _dydx_sizes(addresses: LiveVenuesSection, instrument_ids: tuple[str, ...]) -> Mapping[str, ContractSize]:
    from helios_pipeline.adapters.dydx.sizes import dydx_sizes

    return dydx_sizes(addresses.dydx_http, instrument_ids)


def _dydx_data(addresses: LiveVenuesSection, instrument_ids: tuple[str, ...]) -> DataParts:
    from helios_pipeline.adapters.dydx.data import dydx_data_client

    config, factory = dydx_data_client(_dydx_addresses(addresses), instrument_ids)
    return DataParts(name="DYDX", config=config, factory=factory)


def _dydx_settlements(addresses: LiveVenuesSection) -> "SettlementSource":
    from helios_pipeline.adapters.paper.settlements import DydxSettlements

    return DydxSettlements(addresses.dydx_http)


def _dydx_account(choice: VenueChoice, environment: Mapping[str, str]) -> str:
    from helios_pipeline.adapters.dydx.key import DydxKey

    return f"DYDX-{DydxKey.load(environment).address}-{choice.addresses.dydx_subaccount}"


def _dydx_execution(
    choice: VenueChoice, environment: Mapping[str, str], sink: RecordSink, history: AccountHistory
) -> tuple[ExecutionParts, AccountReader]:
    from helios_pipeline.adapters.dydx.account_reader import DydxAccountReader
    from helios_pipeline.adapters.dydx.execution import dydx_execution_client
    from helios_pipeline.adapters.dydx.key import DydxKey

    addresses, key = _dydx_addresses(choice.addresses), DydxKey.load(environment)
    live = choice.live
    config, factory = dydx_execution_client(addresses, key, sink, history, live.slippage_bps, live.good_til_blocks)
    parts = ExecutionParts(name="DYDX", config=config, factory=factory)
    return parts, DydxAccountReader(addresses, key.address)


def _dydx_addresses(addresses: LiveVenuesSection) -> "DydxAddresses":
    from helios_pipeline.adapters.dydx.addresses import DydxAddresses

    return DydxAddresses(
        http=addresses.dydx_http,
        ws=addresses.dydx_ws,
        grpc=addresses.dydx_grpc,
        grpc_tls=addresses.dydx_grpc_tls,
        chain_id=addresses.dydx_chain_id,
        subaccount=addresses.dydx_subaccount,
    )


VENUES: dict[str, Venue] = {
    "BINANCE": Venue(
        currency="USDT",
        data=_binance_data,
        settlements=_binance_settlements,
        sizes=_binance_sizes,
        history=_binance_history,
    ),
    "DYDX": Venue(
        currency="USDC",
        data=_dydx_data,
        settlements=_dydx_settlements,
        sizes=_dydx_sizes,
        has_blocks=True,
        # Its indexer rounds the price of a fill that the chain books exactly.
        quote_rounding=Decimal("0.000001"),
        account=_dydx_account,
        execution=_dydx_execution,
    ),
}
