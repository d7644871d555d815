"""Signed transactions: from bytes on the wire to messages whose signer is proven."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import bech32
from coincurve import PublicKey
from coincurve.ecdsa import cdata_to_der, deserialize_compact
from Crypto.Hash import RIPEMD160
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError, Message
from v4_proto.cosmos.crypto.secp256k1.keys_pb2 import PubKey
from v4_proto.cosmos.tx.signing.v1beta1.signing_pb2 import SIGN_MODE_DIRECT
from v4_proto.cosmos.tx.v1beta1.tx_pb2 import AuthInfo, SignDoc, TxBody, TxRaw
from v4_proto.dydxprotocol.accountplus.tx_pb2 import TxExtension
from v4_proto.dydxprotocol.clob.tx_pb2 import MsgBatchCancel, MsgCancelOrder, MsgPlaceOrder
from v4_proto.dydxprotocol.sending.transfer_pb2 import MsgDepositToSubaccount, MsgWithdrawFromSubaccount
from v4_proto.dydxprotocol.sending.tx_pb2 import MsgCreateTransfer

from simulated_venues.dydx.records import OrderFlags
from simulated_venues.dydx.refusals import Reason, Refused

ADDRESS_PREFIX = "dydx"
MAX_BYTES = 1_048_576
MAX_MEMO_CHARACTERS = 256
LEAST_GAS = 50_000
"""Less does not even pay for a signature; order messages are free of gas."""

_SIGNATURE_BYTES, _KEY_BYTES = 64, 33
_CURVE_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0

ChainMessage = Any
"""One of `_SIGNERS`; the protocol's message classes are made at run time and carry no types."""

_SIGNERS: dict[type[Message], Callable[[ChainMessage], str]] = {
    MsgPlaceOrder: lambda message: message.order.order_id.subaccount_id.owner,
    MsgCancelOrder: lambda message: message.order_id.subaccount_id.owner,
    MsgBatchCancel: lambda message: message.subaccount_id.owner,
    MsgCreateTransfer: lambda message: message.transfer.sender.owner,
    MsgDepositToSubaccount: lambda message: message.sender,
    MsgWithdrawFromSubaccount: lambda message: message.sender.owner,
}
_KINDS = {kind.DESCRIPTOR.full_name: kind for kind in _SIGNERS}
_CLOB_KINDS = (MsgPlaceOrder, MsgCancelOrder, MsgBatchCancel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """A transaction as it was decoded; nothing in it is proven before `verify_signature`.

    Attributes:
        raw: the bytes that were sent.
        messages: what it asks for, at least one.
        signer: address of the public key.
        sequence: the signer's count of transactions, or a time in milliseconds in its place.
        gas_limit: what it may use.
        timeout_height: the last block it may be in; 0: any.
        public_key: of the signer, 33 bytes.
    """

    raw: bytes
    messages: tuple[ChainMessage, ...]
    signer: str
    sequence: int
    gas_limit: int
    timeout_height: int
    public_key: bytes
    _signature: bytes
    _body_bytes: bytes
    _auth_info_bytes: bytes

    @property
    def hash(self) -> str:
        """What names it: SHA-256 of its bytes, upper-case hexadecimal."""
        return transaction_hash(self.raw)

    @property
    def is_short_term(self) -> bool:
        """Whether it is protected from replay by good-til-block alone: it uses no sequence, and is in no block."""
        return all(_is_short_term(message) for message in self.messages)

    @property
    def is_of_orders(self) -> bool:
        """Whether its messages place or cancel orders."""
        return isinstance(self.messages[0], _CLOB_KINDS)

    def verify_signature(self, chain_id: str, account_number: int) -> None:
        """Prove that the signer signed it for this chain and account.

        Raises:
            Refused: it did not.
        """
        document = SignDoc(
            body_bytes=self._body_bytes,
            auth_info_bytes=self._auth_info_bytes,
            chain_id=chain_id,
            account_number=account_number,
        ).SerializeToString()
        if not _is_signature(self._signature, document, self.public_key):
            raise Refused(
                Reason.UNAUTHORIZED,
                f"signature verification failed; please verify account number ({account_number}) and chain-id "
                f"({chain_id}): (unable to verify single signer signature)",
            )


def transaction_hash(raw: bytes) -> str:
    """What names a transaction."""
    return hashlib.sha256(raw).hexdigest().upper()


def decode_transaction(raw: bytes) -> Transaction:
    """Read a transaction and refuse what no account could make valid.

    Unknown fields of messages are left alone, as newer clients than this protocol's version send them.

    Raises:
        Refused: it can't be read, is unsigned, too large, signed by another than its messages' owner, or mixes orders
            with other messages.
    """
    if len(raw) > MAX_BYTES:
        raise Refused(Reason.TX_TOO_LARGE, f"{len(raw)} bytes")
    try:
        envelope = TxRaw.FromString(raw)
        body, auth = TxBody.FromString(envelope.body_bytes), AuthInfo.FromString(envelope.auth_info_bytes)
        messages = tuple(_decode_message(message) for message in body.messages)
        public_key = PubKey.FromString(auth.signer_infos[0].public_key.value).key if auth.signer_infos else b""
    except DecodeError as error:
        raise Refused(Reason.TX_DECODE, str(error)) from error
    _check_envelope(envelope, body, auth)
    transaction = Transaction(
        raw=raw,
        messages=messages,
        signer=address_of(public_key),
        sequence=auth.signer_infos[0].sequence,
        gas_limit=auth.fee.gas_limit,
        timeout_height=body.timeout_height,
        public_key=public_key,
        _signature=envelope.signatures[0],
        _body_bytes=envelope.body_bytes,
        _auth_info_bytes=envelope.auth_info_bytes,
    )
    _check_messages(transaction)
    return transaction


def address_of(public_key: bytes) -> str:
    """Address of a compressed secp256k1 public key.

    Raises:
        Refused: it is no such key.
    """
    if len(public_key) != _KEY_BYTES:
        raise Refused(Reason.INVALID_PUBLIC_KEY, f"expected a key of {_KEY_BYTES} bytes, got {len(public_key)}")
    digest = RIPEMD160.new(hashlib.sha256(public_key).digest()).digest()
    return str(bech32.bech32_encode(ADDRESS_PREFIX, bech32.convertbits(digest, 8, 5) or ()))


def is_address(text: str) -> bool:
    """Whether text is an address of this chain."""
    prefix, data = bech32.bech32_decode(text)
    return prefix == ADDRESS_PREFIX and data is not None and bech32.convertbits(data, 5, 8, False) is not None


def _decode_message(message: AnyMessage) -> ChainMessage:
    kind = _KINDS.get(message.type_url.removeprefix("/"))
    if kind is None:
        raise Refused(Reason.UNKNOWN_REQUEST, f"no message handler found for {message.type_url!r}")
    return kind.FromString(message.value)


def _check_envelope(envelope: TxRaw, body: TxBody, auth: AuthInfo) -> None:
    if not body.messages:
        raise Refused(Reason.INVALID_REQUEST, "must contain at least one message")
    if not envelope.signatures or not auth.signer_infos:
        raise Refused(Reason.NO_SIGNATURES)
    if len(envelope.signatures) != 1 or len(auth.signer_infos) != 1:
        raise Refused(Reason.UNAUTHORIZED, f"invalid number of signer;  expected: 1, got {len(envelope.signatures)}")
    mode = auth.signer_infos[0].mode_info.single.mode
    if mode != SIGN_MODE_DIRECT:
        raise Refused(Reason.UNAUTHORIZED, f"expected sign mode SIGN_MODE_DIRECT ({SIGN_MODE_DIRECT}), got {mode}")
    if len(body.memo) > MAX_MEMO_CHARACTERS:
        raise Refused(
            Reason.MEMO_TOO_LARGE,
            f"maximum number of characters is {MAX_MEMO_CHARACTERS} but received {len(body.memo)} characters",
        )
    for option in body.non_critical_extension_options:
        if option.Is(TxExtension.DESCRIPTOR) and TxExtension.FromString(option.value).selected_authenticators:
            raise Refused(Reason.UNAUTHORIZED, "authenticators are not enabled")


def _check_messages(transaction: Transaction) -> None:
    """Refuse another signer than the messages' owners, and messages beside one of orders."""
    for message in transaction.messages:
        owner = _SIGNERS[type(message)](message)
        if owner != transaction.signer:
            raise Refused(
                Reason.INVALID_PUBLIC_KEY, f"pubKey does not match signer address {owner} with signer index: 0"
            )
    if len(transaction.messages) > 1 and any(isinstance(message, _CLOB_KINDS) for message in transaction.messages):
        raise Refused(
            Reason.INVALID_REQUEST,
            "a transaction containing MsgCancelOrder or MsgPlaceOrder or MsgBatchCancel may not contain more than "
            "one message",
        )
    if len(transaction.messages) > 1:
        raise Refused(Reason.INVALID_REQUEST, "the simulated chain takes one message a transaction")
    if not transaction.is_of_orders and transaction.gas_limit < LEAST_GAS:
        raise Refused(
            Reason.OUT_OF_GAS,
            f"out of gas in location: ReadFlat; gasWanted: {transaction.gas_limit}, gasUsed: {LEAST_GAS}",
        )
    if transaction.is_short_term and transaction.timeout_height > 0:
        raise Refused(
            Reason.INVALID_REQUEST,
            "a short term clob message may not have a non-zero timeout height, use goodTilBlock instead",
        )


def _is_short_term(message: ChainMessage) -> bool:
    stateful = (OrderFlags.LONG_TERM, OrderFlags.CONDITIONAL)
    if isinstance(message, MsgPlaceOrder):
        return message.order.order_id.order_flags not in stateful
    if isinstance(message, MsgCancelOrder):
        return message.order_id.order_flags not in stateful
    return isinstance(message, MsgBatchCancel)


def _is_signature(signature: bytes, document: bytes, public_key: bytes) -> bool:
    """Whether 64 bytes (r, s with s in the lower half of the order) sign the document's SHA-256."""
    if len(signature) != _SIGNATURE_BYTES or int.from_bytes(signature[32:]) > _CURVE_HALF_ORDER:
        return False
    try:
        der = cdata_to_der(deserialize_compact(signature))
        return bool(PublicKey(public_key).verify(der, document))
    except ValueError:
        return False
