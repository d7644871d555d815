"""Why the chain refuses a transaction: code, codespace and text, as cosmos-sdk and the protocol number them."""

from enum import Enum

SDK, CLOB, SUBACCOUNTS, SENDING = "sdk", "clob", "subaccounts", "sending"


class Reason(Enum):
    """A sentinel error: (codespace, code, text), the text as the chain words it, since clients look for it.

    Source: cosmos-sdk 0.50 types/errors, v4-chain x/*/types/errors.go.
    """

    TX_DECODE = (SDK, 2, "tx parse error")
    UNAUTHORIZED = (SDK, 4, "unauthorized")
    INSUFFICIENT_FUNDS = (SDK, 5, "insufficient funds")
    UNKNOWN_REQUEST = (SDK, 6, "unknown request")
    INVALID_PUBLIC_KEY = (SDK, 8, "invalid pubkey")
    OUT_OF_GAS = (SDK, 11, "out of gas")
    MEMO_TOO_LARGE = (SDK, 12, "memo too large")
    NO_SIGNATURES = (SDK, 15, "no signatures supplied")
    INVALID_REQUEST = (SDK, 18, "invalid request")
    TX_IN_MEMPOOL = (SDK, 19, "tx already in mempool")
    TX_TOO_LARGE = (SDK, 21, "tx too large")
    TIMEOUT_HEIGHT = (SDK, 30, "tx timeout height")
    WRONG_SEQUENCE = (SDK, 32, "incorrect account sequence")

    SUBACCOUNT_UPDATE = (SUBACCOUNTS, 102, "failed to apply subaccount updates")
    SUBACCOUNT_NUMBER = (SUBACCOUNTS, 200, "subaccount id number cannot exceed 128000")
    SUBACCOUNT_OWNER = (SUBACCOUNTS, 201, "subaccount id owner is an invalid address")

    SENDER_IS_RECIPIENT = (SENDING, 1, "Sender is the same as recipient")
    TRANSFER_AMOUNT = (SENDING, 2, "Invalid transfer amount")
    ACCOUNT_ADDRESS = (SENDING, 6, "Account address is invalid")
    NOT_USDC = (SENDING, 1101, "Non-USDC asset transfer not implemented")

    ORDER_SIDE = (CLOB, 3, "Invalid order side")
    ORDER_QUANTUMS = (CLOB, 4, "Invalid order quantums")
    GOOD_TIL_BLOCK = (CLOB, 5, "Invalid order goodTilBlock")
    ORDER_SUBTICKS = (CLOB, 6, "Invalid order subticks")
    ORDER_CANCELED = (CLOB, 7, "Attempt to place an order that is already canceled")
    CLOB_PAIR = (CLOB, 8, "ClobPair ID does not reference a valid CLOB")
    CANCEL_EXISTS = (
        CLOB,
        9,
        "A cancel already exists in the memclob for this order with a greater than or equal GoodTilBlock",
    )
    GOOD_TIL_BLOCK_PAST = (CLOB, 10, "The next block height is greater than the GoodTilBlock of the message")
    GOOD_TIL_BLOCK_FAR = (
        CLOB,
        11,
        "The GoodTilBlock of the message is further than ShortBlockWindow blocks into the future",
    )
    PLACE_ORDER = (CLOB, 12, "MsgPlaceOrder is invalid")
    REPLACEMENT = (
        CLOB,
        20,
        "An order with the same `OrderId` already exists for this CLOB with a greater-than-or-equal `GoodTilBlock` "
        "or Order Hash",
    )
    ORDER_FILLED = (CLOB, 24, "Order is fully filled")
    CLOB_PAIR_PARAMETER = (CLOB, 27, "Invalid ClobPair parameter")
    STATEFUL_CANCEL = (CLOB, 29, "Invalid stateful order cancellation")
    ORDER_REPROCESSED = (
        CLOB,
        30,
        "An order with the same `OrderId` and `OrderHash` has already been processed for this CLOB",
    )
    STATEFUL_CANCEL_EXISTS = (
        CLOB,
        32,
        "Existing stateful order cancellation has higher-or-equal priority than the new one",
    )
    TIME_IN_FORCE = (CLOB, 44, "invalid time in force")
    BATCH_CANCEL = (CLOB, 45, "Invalid batch cancel message")
    BATCH_CANCEL_FAILED = (CLOB, 46, "Batch cancel has failed")
    DEPRECATED_FIELD = (CLOB, 48, "This field has been deprecated")
    REDUCE_ONLY_INCREASES = (CLOB, 2001, "Reduce-only orders cannot increase the position size")
    POST_ONLY_CROSSES = (CLOB, 2003, "Post-only order would cross one or more maker orders")
    IOC_FILLED = (CLOB, 2004, "IOC/FOK order is already filled, remaining size is cancelled.")
    ORDER_FLAGS = (CLOB, 3000, "Invalid order flags")
    GOOD_TIL_TIME = (CLOB, 3001, "Invalid order goodTilBlockTime")
    LONG_TERM_IMMEDIATE = (CLOB, 3002, "Stateful orders cannot require immediate execution")
    GOOD_TIL_TIME_PAST = (CLOB, 3003, "The block time is greater than the GoodTilBlockTime of the message")
    GOOD_TIL_TIME_FAR = (
        CLOB,
        3004,
        "The GoodTilBlockTime of the message is further than StatefulOrderTimeWindow into the future",
    )
    STATEFUL_EXISTS = (CLOB, 3005, "Existing stateful order has higher-or-equal priority than the new one")
    STATEFUL_UNKNOWN = (CLOB, 3006, "Stateful order does not exist")
    STATEFUL_COLLATERAL = (CLOB, 3007, "Stateful order collateralization check failed")
    STATEFUL_CANCELED = (CLOB, 3008, "Stateful order was previously cancelled and therefore cannot be placed")
    STATEFUL_CANCEL_REMOVED = (
        CLOB,
        3010,
        "Stateful order cancellation failed because the order was already removed from state",
    )
    CONDITION_TYPE = (CLOB, 6000, "Conditional type is invalid")
    TRIGGER_SUBTICKS = (CLOB, 6001, "Conditional order trigger subticks is invalid")
    REDUCE_ONLY = (CLOB, 9003, "Reduce-only is currently disabled for non-IOC orders")
    EQUITY_TIER = (CLOB, 10001, "Subaccount cannot open more orders due to equity tier limit.")


class Refused(Exception):
    """The chain refuses a transaction.

    Attributes:
        codespace: the module that refuses.
        code: its number for the reason; never 0.
        log: what the client reads: detail, then the reason's own text.
    """

    def __init__(self, reason: Reason, detail: str = "", *, code: int | None = None) -> None:
        """A refusal for a reason; `code` stands in place of the reason's own."""
        self.codespace, own_code, text = reason.value
        self.code = own_code if code is None else code
        self.log = f"{detail}: {text}" if detail else text
        super().__init__(self.log)
