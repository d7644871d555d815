"""Names of orders: what the venue needs to know one again is a function of what the engine knows before it sends.

So an order that was sent in an earlier life is found by its client id alone, without any memory of the answer.
"""

import uuid
from enum import IntEnum
from functools import lru_cache

_NAMESPACE = uuid.UUID("0f9da948-a6fb-4c45-9edc-4685c3f3317d")
"""Of the indexer's ids (dydxprotocol/v4-chain, `indexer/packages/postgres/src/helpers/uuid.ts`)."""


class OrderFlags(IntEnum):
    """How the chain keeps an order: until a block in its validators' memory, in its state, or until a trigger."""

    SHORT_TERM = 0
    CONDITIONAL = 32
    LONG_TERM = 64


@lru_cache(maxsize=64)
def subaccount_uuid(address: str, subaccount: int) -> uuid.UUID:
    """The indexer's id of a subaccount."""
    return uuid.uuid5(_NAMESPACE, f"{address}-{subaccount}")


def order_uuid(address: str, subaccount: int, client_id: int, clob_pair_id: int, flags: OrderFlags) -> str:
    """The indexer's id of an order (v4-chain, `order-table.ts`)."""
    name = f"{subaccount_uuid(address, subaccount)}-{client_id}-{clob_pair_id}-{int(flags)}"
    return str(uuid.uuid5(_NAMESPACE, name))
