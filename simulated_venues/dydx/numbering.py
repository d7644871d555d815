"""Names that the indexer gives: functions of the block, the place in it and whose it is, so they repeat exactly.

Source: dydxprotocol/v4-chain, indexer/packages/postgres/src: `*-table.ts` (uuid5 in one namespace over joined texts),
`event-id.ts` (height, transaction and event as big-endian 32-bit numbers).
"""

from functools import lru_cache
from hashlib import sha1
from uuid import UUID

from simulated_venues.dydx.records import OrderId, SubaccountId

_NAMESPACE = UUID("0f9da948-a6fb-4c45-9edc-4685c3f3317d").bytes
_OPERATIONS_TRANSACTION = 2
"""Matches are in a block's first transaction; the indexer counts two places for what stands before transactions."""


def event_id(height: int, place: int) -> str:
    """24 hexadecimal digits: height, transaction, event."""
    return f"{height:08x}{_OPERATIONS_TRANSACTION:08x}{place:08x}"


@lru_cache(maxsize=4_096)
def subaccount_uuid(subaccount: SubaccountId) -> str:
    """The indexer's id of a subaccount."""
    return _uuid5(f"{subaccount.owner}-{subaccount.number}")


def order_uuid(order_id: OrderId) -> str:
    """The indexer's id of an order."""
    parts = (subaccount_uuid(order_id.subaccount), order_id.client_id, order_id.clob_pair_id, int(order_id.flags))
    return _uuid5("-".join(map(str, parts)))


def fill_uuid(event: str, liquidity: str) -> str:
    """The indexer's id of one side of a match."""
    return _uuid5(f"{event}-{liquidity}")


def position_uuid(subaccount: SubaccountId, opened_by: str) -> str:
    """The indexer's id of a position, named by the event that opened it."""
    return _uuid5(f"{subaccount_uuid(subaccount)}-{opened_by}")


def transfer_uuid(event: str, sender: SubaccountId | None, recipient: SubaccountId | None) -> str:
    """The indexer's id of a transfer of USDC (asset 0)."""
    ends = ("" if each is None else subaccount_uuid(each) for each in (sender, recipient))
    return _uuid5("-".join((event, "0", *ends)))


def _uuid5(name: str) -> str:
    """`uuid.uuid5` in the indexer's namespace, as text; every fill needs one."""
    digits = sha1(_NAMESPACE + name.encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"
