"""Where a dYdX v4 chain and its indexer are."""

from dataclasses import dataclass

MAINNET_CHAIN = "dydx-mainnet-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class DydxAddresses:
    """A chain, its indexer, and the subaccount that is traded there.

    Attributes:
        http: the indexer's REST interface, without `/v4`.
        ws: the indexer's WebSocket, with its path.
        grpc: host and port of a validator.
        grpc_tls: whether it wants TLS; without, only a machine that is trusted should be between.
        chain_id: what transactions are signed for, so that no other chain takes them.
        subaccount: number of the subaccount.
    """

    http: str
    ws: str
    grpc: str
    grpc_tls: bool
    chain_id: str
    subaccount: int

    def account(self, address: str) -> str:
        """Name of the account, as NautilusTrader and the journal have it."""
        return f"DYDX-{address}-{self.subaccount}"
