"""How one account trades: what an execution client is made with."""

from dataclasses import dataclass
from decimal import Decimal

from helios_pipeline.adapters.dydx.addresses import DydxAddresses
from helios_pipeline.adapters.dydx.key import DydxKey
from helios_pipeline.core.venues import AccountHistory, RecordSink


@dataclass(frozen=True, slots=True, kw_only=True)
class Trading:
    """How one account trades.

    Attributes:
        addresses: of the venue.
        key: that signs.
        sink: where everything is written first.
        history: what the journal knows at the start.
        slippage_bps: most that a market order may pay beyond the best or the oracle price.
        good_til_blocks: blocks in which an order, a cancel or a stop must be included.
    """

    addresses: DydxAddresses
    key: DydxKey
    sink: RecordSink
    history: AccountHistory
    slippage_bps: Decimal
    good_til_blocks: int

    @property
    def account(self) -> str:
        """Name of the account."""
        return self.addresses.account(self.key.address)
