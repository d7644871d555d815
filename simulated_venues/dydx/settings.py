"""How a simulated dYdX v4 behaves, beside its prices."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class DydxSettings:
    """Settings of a simulated dYdX v4.

    Attributes:
        port: of indexer REST, WebSocket and page; 0: the system chooses.
        grpc_port: of the validator; 0: the system chooses.
        state_folder: where accounts are kept across restarts.
        chain_id: what transactions are signed for.
        block_ms: time between blocks, on the wall clock whatever the market's speed; about 1,000 on the venue.
        deposits: owner's address → USDC that its subaccount 0 gets when the chain first sees it, at the first block.
        default_deposit_usdc: what any other address gets the first time it is asked for; 0: nothing.
    """

    port: int = 0
    grpc_port: int = 0
    state_folder: Path
    chain_id: str = "dydx-mainnet-1"
    block_ms: int = 1_000
    deposits: tuple[tuple[str, int], ...] = ()
    default_deposit_usdc: int = 100_000
