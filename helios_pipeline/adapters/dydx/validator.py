"""A validator's gRPC interface: transactions are signed here, and sent so that nobody has to wait for the answer.

A transaction is sent once. What an answer means is for the caller: code 0 is "waits for a block", another code is
a refusal that leaves nothing behind, and no answer means that nobody knows.
"""

from dataclasses import dataclass
from typing import Any

import grpc
from dydx_v4_client.node.builder import DEFAULT_FEE, as_any, get_signature, get_signer_info
from dydx_v4_client.wallet import Wallet
from v4_proto.cosmos.auth.v1beta1 import query_pb2_grpc as auth
from v4_proto.cosmos.auth.v1beta1.auth_pb2 import BaseAccount
from v4_proto.cosmos.auth.v1beta1.query_pb2 import QueryAccountRequest
from v4_proto.cosmos.base.tendermint.v1beta1 import query_pb2 as tendermint
from v4_proto.cosmos.base.tendermint.v1beta1 import query_pb2_grpc as tendermint_grpc
from v4_proto.cosmos.tx.v1beta1 import service_pb2_grpc
from v4_proto.cosmos.tx.v1beta1.service_pb2 import BroadcastMode, BroadcastTxRequest
from v4_proto.cosmos.tx.v1beta1.tx_pb2 import AuthInfo, Tx, TxBody

from helios_pipeline.adapters.dydx.addresses import DydxAddresses
from helios_pipeline.adapters.dydx.key import DydxKey
from helios_pipeline.core.errors import UnreachableError, VenueError

WRONG_SEQUENCE = 32
"""Code of cosmos-sdk: the transaction's sequence is not the account's next one."""

_ANSWER_SECONDS = 5.0
_CHANNEL = (
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # A channel of its own: another client of this process may close its own.
    ("grpc.use_local_subchannel_pool", 1),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainAccount:
    """An account as signer: its number, and the sequence of its next transaction."""

    number: int
    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a validator said to a transaction: 0, or why it was refused."""

    code: int
    log: str


class Validator:
    """Signs with one key and sends to one validator. Methods may be called from any thread.

    Attributes:
        account_number: part of what is signed; known once `account` was asked.
    """

    def __init__(self, addresses: DydxAddresses, key: DydxKey) -> None:
        self._chain_id, self._address = addresses.chain_id, key.address
        self._wallet = Wallet(key.pair, 0, 0)
        self._target = addresses.grpc
        self._channel = (
            grpc.secure_channel(addresses.grpc, grpc.ssl_channel_credentials(), options=_CHANNEL)
            if addresses.grpc_tls
            else grpc.insecure_channel(addresses.grpc, options=_CHANNEL)
        )
        self._service = service_pb2_grpc.ServiceStub(self._channel)
        self.account_number = 0

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def account(self) -> ChainAccount:
        """The key's account, committed transactions counted.

        Raises:
            UnreachableError: no answer.
        """
        account = BaseAccount()
        request = QueryAccountRequest(address=self._address)
        answer = self._ask(auth.QueryStub(self._channel).Account, request)
        if not answer.account.Unpack(account):
            raise VenueError(f"dYdX account {self._address}: expected a BaseAccount, found {answer.account.type_url}.")
        self.account_number = int(account.account_number)
        return ChainAccount(number=self.account_number, sequence=int(account.sequence))

    def height(self) -> int:
        """Height of the last block.

        Raises:
            UnreachableError: no answer.
        """
        stub = tendermint_grpc.ServiceStub(self._channel)
        return int(self._ask(stub.GetLatestBlock, tendermint.GetLatestBlockRequest()).sdk_block.header.height)

    def sign(self, message: object, *, sequence: int, last_block: int = 0) -> bytes:
        """A transaction of one message.

        Args:
            message: what is to be done.
            sequence: of the account; the chain does not look at that of short-term orders.
            last_block: last block that may include it; 0 for no limit.
        """
        body = TxBody(messages=[as_any(message)], timeout_height=last_block)
        auth_info = AuthInfo(signer_infos=[get_signer_info(self._wallet.public_key, sequence)], fee=DEFAULT_FEE)
        signature = get_signature(self._wallet.key, body, auth_info, self.account_number, self._chain_id)
        return bytes(Tx(body=body, auth_info=auth_info, signatures=[signature]).SerializeToString())

    def start(self, transaction: bytes) -> Any:  # noqa: ANN401 - grpc's future
        """Send a transaction without waiting; a future of the validator's answer, see `read_answer`."""
        request = BroadcastTxRequest(tx_bytes=transaction, mode=BroadcastMode.BROADCAST_MODE_SYNC)
        return self._service.BroadcastTx.future(request, timeout=_ANSWER_SECONDS)

    def _ask(self, method: Any, request: object) -> Any:  # noqa: ANN401 - messages carry no types
        try:
            return method(request, timeout=_ANSWER_SECONDS)
        except grpc.RpcError as error:
            raise UnreachableError(
                f"dYdX validator {self._target}: expected an answer, found {describe(error)}. Check its address."
            ) from error


def read_answer(call: Any) -> Answer | None:  # noqa: ANN401 - grpc's future
    """The answer to a sent transaction, waited for; None if there is none, so that nobody knows what became of it."""
    try:
        response = call.result().tx_response
    except (grpc.RpcError, grpc.FutureCancelledError, grpc.FutureTimeoutError):
        return None
    return Answer(code=int(response.code), log=str(response.raw_log))


def describe(error: BaseException) -> str:
    """A gRPC error in a few words."""
    code = error.code() if isinstance(error, grpc.Call) else type(error).__name__
    details = error.details() if isinstance(error, grpc.Call) else str(error)
    return f"{code} {details}"
