"""Whether a message that moves money is right by itself (v4-chain, x/sending/types/message_*.go)."""

from v4_proto.dydxprotocol.sending.transfer_pb2 import MsgDepositToSubaccount, MsgWithdrawFromSubaccount
from v4_proto.dydxprotocol.subaccounts.subaccount_pb2 import SubaccountId as SubaccountMessage

from simulated_venues.dydx.messages import one_line
from simulated_venues.dydx.refusals import Reason, Refused
from simulated_venues.dydx.transactions import ChainMessage, is_address

MAX_SUBACCOUNT_NUMBER = 128_000
USDC_ASSET_ID = 0


def check_transfer(message: ChainMessage) -> None:
    """Refuse a transfer, deposit or withdrawal that is wrong by itself.

    Raises:
        Refused: by the module that it is of.
    """
    if isinstance(message, MsgDepositToSubaccount):
        _check_account(message.sender)
        check_subaccount(message.recipient)
        asset, amount = message.asset_id, message.quantums
    elif isinstance(message, MsgWithdrawFromSubaccount):
        check_subaccount(message.sender)
        _check_account(message.recipient)
        asset, amount = message.asset_id, message.quantums
    else:
        transfer = message.transfer
        check_subaccount(transfer.sender)
        check_subaccount(transfer.recipient)
        if transfer.sender == transfer.recipient:
            raise Refused(Reason.SENDER_IS_RECIPIENT, f"Sender is the same as recipient ({one_line(transfer.sender)})")
        asset, amount = transfer.asset_id, transfer.amount
    if asset != USDC_ASSET_ID:
        raise Refused(Reason.NOT_USDC)
    if amount == 0:
        raise Refused(Reason.TRANSFER_AMOUNT)


def _check_account(address: str) -> None:
    if not is_address(address):
        raise Refused(Reason.ACCOUNT_ADDRESS)


def check_subaccount(subaccount: SubaccountMessage) -> None:
    """Refuse a subaccount that can't be.

    Raises:
        Refused: by the subaccounts' module.
    """
    if not is_address(subaccount.owner):
        raise Refused(
            Reason.SUBACCOUNT_OWNER,
            f"invalid SubaccountId Owner address ({subaccount.owner}). Error: (decoding bech32 failed)",
        )
    if subaccount.number > MAX_SUBACCOUNT_NUMBER:
        raise Refused(Reason.SUBACCOUNT_NUMBER)
