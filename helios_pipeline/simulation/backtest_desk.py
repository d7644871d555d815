"""Who runs the strategy in a backtest: fixed terms, a ledger of what was booked, nothing that blocks."""

from collections.abc import Sequence

from nautilus_trader.model.data import Bar

from helios_pipeline.core.trading import Mode, Purpose
from helios_pipeline.simulation.inputs import SimulationInputs
from helios_pipeline.strategy.desk import BoundaryDecision, RestoredMarket
from helios_pipeline.strategy.parameters import ParameterSet
from helios_pipeline.strategy.terms import Terms


class BacktestDesk:
    """`strategy.desk.Desk` of a backtest.

    Args:
        inputs: of the simulation.
        parameters: that are traded throughout.
    """

    def __init__(self, inputs: SimulationInputs, parameters: ParameterSet) -> None:
        self._terms = Terms(
            manifest_hash="",
            parameters=parameters,
            features=inputs.feature_settings,
            limits=inputs.compiled_limits,
            contracts=inputs.contracts,
            traded=(True,) * len(inputs.instruments),
        )
        self._values = [int(contract["quanta_per_tick_lot"]) for contract in inputs.contracts]
        self._lots = [0] * len(inputs.instruments)
        self._quote_balance = inputs.initial_equity_quanta

    def book_fill(self, m: int, signed_lots: int, ticks: int, fee_quanta: int) -> None:
        """Pay for what was bought, and the fee."""
        self._lots[m] += signed_lots
        self._quote_balance -= signed_lots * ticks * self._values[m] + fee_quanta

    def book_payment(self, quanta: int) -> None:
        """Take in a funding payment."""
        self._quote_balance += quanta

    def terms(self) -> Terms:
        """The parameters, from beginning to end."""
        return self._terms

    def terms_of(self, manifest_hash: str) -> Terms:  # noqa: ARG002
        """The same."""
        return self._terms

    def took_over(self, manifest_hash: str, markets: Sequence[int]) -> None:
        """Nothing to note."""

    def restored(self, market: int) -> RestoredMarket | None:  # noqa: ARG002
        """A backtest begins flat."""
        return None

    def missed_bars(self, since_ns: int) -> Sequence[Bar]:  # noqa: ARG002
        """None."""
        return ()

    def equity_quanta(self, closes: Sequence[int]) -> int:
        """The ledger's cash, and its lots at the closes."""
        held = zip(self._lots, closes, self._values, strict=True)
        return self._quote_balance + sum(lots * close * value for lots, close, value in held)

    def mode(self) -> Mode:
        """Everything is allowed."""
        return "ACTIVE"

    def blocked(self, market: int) -> str:  # noqa: ARG002
        """Nothing is."""
        return ""

    def waits(self, market: int, purpose: Purpose) -> str:  # noqa: ARG002
        """Nothing does."""
        return ""

    def next_order_id(self) -> str | None:
        """NautilusTrader's own."""
        return None

    def record(self, decision: BoundaryDecision) -> None:
        """A backtest is repeated, not recorded."""
