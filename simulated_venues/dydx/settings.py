"""How a simulated dYdX v4 behaves, beside its prices."""

from dataclasses import dataclass
from pathlib import Path

from helios_pipeline.core.errors import SimulationError


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

    def __post_init__(self) -> None:
        """Refuse what no chain could be made with."""
        allowed = {
            "block_ms of 5 or more": self.block_ms >= 5,
            "whole USDC above 0 in deposits": all(usdc > 0 for _, usdc in self.deposits),
            "default_deposit_usdc of 0 or more": self.default_deposit_usdc >= 0,
        }
        broken = [rule for rule, holds in allowed.items() if not holds]
        if broken:
            raise SimulationError(f"simulated dYdX: expected {', '.join(broken)}; found {self}.")
