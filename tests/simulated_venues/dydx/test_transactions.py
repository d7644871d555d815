import pytest
from dydx_v4_client.key_pair import KeyPair
from dydx_v4_client.node.builder import Builder, TxOptions
from dydx_v4_client.node.message import cancel_order, order, order_id, place_order, subaccount, transfer
from dydx_v4_client.wallet import Wallet
from google.protobuf.any_pb2 import Any
from v4_proto.cosmos.tx.v1beta1.tx_pb2 import Fee, Tx
from v4_proto.dydxprotocol.clob.order_pb2 import Order
from v4_proto.dydxprotocol.sending.transfer_pb2 import MsgDepositToSubaccount

from simulated_venues.dydx.refusals import Refused
from simulated_venues.dydx.signers import NONCE_WINDOW_MS, Signers
from simulated_venues.dydx.transactions import address_of, decode_transaction, is_address

MNEMONIC = (
    "mirror actor skill push coach wait confirm orchard lunch mobile athlete gossip awake miracle matter bus reopen "
    "team ladder lazy list timber render wait"
)
# What the client of NautilusTrader and of dYdX both derive from these words.
ADDRESS = "dydx199tqg4wdlnu4qjlxchpd7seg454937hjrknju4"
CHAIN = "dydx-mainnet-1"


@pytest.fixture(name="wallet", scope="module")
def wallet_fixture():
    return Wallet(KeyPair.from_mnemonic(MNEMONIC), account_number=3, sequence=5)


def place(owner, *, flags=0, client_id=7):
    end = {"good_til_block": 30} if flags == 0 else {"good_til_block_time": 2_000_000_000}
    return place_order(
        order(
            order_id(owner, 0, client_id, 0, flags),
            Order.SIDE_BUY,
            10_000_000,
            100_000,
            Order.TIME_IN_FORCE_UNSPECIFIED,
            False,
            **end,
        )
    )


def signed(wallet, message, **changes):
    return Builder(changes.pop("chain_id", CHAIN), "USDC").build(wallet, message, **changes).SerializeToString()


def refusal_of(call, *arguments):
    with pytest.raises(Refused) as caught:
        call(*arguments)
    return caught.value


def test_an_address_is_derived_from_the_public_key_as_clients_do(wallet):
    assert address_of(wallet.public_key.key) == wallet.address
    assert is_address(wallet.address)
    assert not is_address(wallet.address[:-1] + "q")
    assert not is_address("cosmos" + wallet.address[4:])


def test_a_signature_of_the_clients_library_is_valid(wallet):
    transaction = decode_transaction(signed(wallet, place(wallet.address)))

    transaction.verify_signature(CHAIN, 3)

    assert (transaction.signer, transaction.sequence) == (wallet.address, 5)
    assert transaction.is_short_term
    assert transaction.is_of_orders


@pytest.mark.parametrize(("chain_id", "number"), [("dydx-testnet-4", 3), (CHAIN, 4)])
def test_a_signature_for_another_chain_or_account_is_unauthorized(wallet, chain_id, number):
    transaction = decode_transaction(signed(wallet, place(wallet.address)))

    refused = refusal_of(transaction.verify_signature, chain_id, number)

    assert (refused.codespace, refused.code) == ("sdk", 4)
    assert refused.log == (
        f"signature verification failed; please verify account number ({number}) and chain-id ({chain_id}): "
        "(unable to verify single signer signature): unauthorized"
    )


def test_a_message_changed_after_signing_is_unauthorized(wallet):
    envelope = Tx.FromString(signed(wallet, place(wallet.address)))
    envelope.body.messages[0].Pack(place(wallet.address, client_id=8), type_url_prefix="/")

    transaction = decode_transaction(envelope.SerializeToString())

    assert refusal_of(transaction.verify_signature, CHAIN, 3).code == 4


def test_the_other_of_the_two_signatures_of_a_key_is_unauthorized(wallet):
    order_of_curve = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    envelope = Tx.FromString(signed(wallet, place(wallet.address)))
    signature = envelope.signatures[0]
    envelope.signatures[0] = signature[:32] + (order_of_curve - int.from_bytes(signature[32:])).to_bytes(32)

    transaction = decode_transaction(envelope.SerializeToString())

    assert refusal_of(transaction.verify_signature, CHAIN, 3).code == 4


def test_an_order_of_another_owner_is_refused(wallet):
    refused = refusal_of(decode_transaction, signed(wallet, place(ADDRESS)))

    assert (refused.codespace, refused.code) == ("sdk", 8)
    assert refused.log == f"pubKey does not match signer address {ADDRESS} with signer index: 0: invalid pubkey"


def test_bytes_that_are_no_transaction_are_a_parse_error():
    assert refusal_of(decode_transaction, b"\xff\xff\xff").code == 2
    assert refusal_of(decode_transaction, b"").code == 18


def test_a_long_memo_a_large_transaction_and_a_missing_signature_are_refused(wallet):
    memo = Builder(CHAIN, "USDC", memo="m" * 257).build(wallet, place(wallet.address)).SerializeToString()
    unsigned = Tx.FromString(signed(wallet, place(wallet.address)))
    del unsigned.signatures[:]

    assert refusal_of(decode_transaction, memo).code == 12
    assert refusal_of(decode_transaction, bytes(1_048_577)).code == 21
    assert refusal_of(decode_transaction, unsigned.SerializeToString()).code == 15


def test_orders_come_alone_and_without_a_timeout_height(wallet):
    builder = Builder(CHAIN, "USDC")
    two = builder.build_transaction(wallet, [packed(place(wallet.address))] * 2, Fee(gas_limit=1))
    late = Tx.FromString(signed(wallet, place(wallet.address)))
    late.body.timeout_height = 9

    assert refusal_of(decode_transaction, two.SerializeToString()).log.startswith(
        "a transaction containing MsgCancelOrder or MsgPlaceOrder or MsgBatchCancel may not contain more than one"
    )
    assert refusal_of(decode_transaction, late.SerializeToString()).log.startswith("a short term clob message may not")


def test_transfers_need_gas_and_orders_none(wallet):
    message = transfer(subaccount(wallet.address, 0), subaccount(wallet.address, 1), 0, 5)

    refused = refusal_of(decode_transaction, signed(wallet, message, fee=Fee(gas_limit=10)))

    assert refused.code == 11
    assert decode_transaction(signed(wallet, place(wallet.address), fee=Fee(gas_limit=0))).gas_limit == 0


def test_an_unknown_message_and_selected_authenticators_are_refused(wallet):
    unknown = signed(wallet, place(wallet.address)).replace(b"/dydxprotocol.clob.MsgPlaceOrder", b"/" + b"x" * 31)
    with_authenticator = signed(wallet, place(wallet.address), tx_options=TxOptions([1], 5, 3))
    without = signed(wallet, place(wallet.address), tx_options=TxOptions([], 6, 3))

    assert refusal_of(decode_transaction, unknown).code == 6
    assert refusal_of(decode_transaction, with_authenticator).code == 4
    assert decode_transaction(without).sequence == 6


def test_unknown_fields_of_newer_clients_are_left_alone(wallet):
    # Field 1000 of the order, a text, as clients of a later protocol add them.
    message = place(wallet.address)
    newer = message.SerializeToString()
    body = message.order.SerializeToString() + b"\xc2\x3e\x04dydx"
    newer = b"\x0a" + bytes([len(body)]) + body
    unknown = type(message).FromString(newer)

    transaction = decode_transaction(signed(wallet, unknown))

    transaction.verify_signature(CHAIN, 3)
    assert transaction.messages[0].order.order_id.client_id == 7


@pytest.mark.parametrize("flags", [32, 64])
def test_stateful_orders_their_cancels_and_transfers_use_the_sequence(wallet, flags):
    cancel = cancel_order(order_id(wallet.address, 0, 7, 0, flags), good_til_block_time=2_000_000_000)
    deposit = MsgDepositToSubaccount(sender=wallet.address, quantums=1)

    for message in (place(wallet.address, flags=flags), cancel, deposit):
        assert not decode_transaction(signed(wallet, message)).is_short_term


def test_a_sequence_is_the_committed_one_plus_what_waits():
    signers = Signers()
    signers.check("a", 0, 0)
    signers.use("a", 0)

    refused = refusal_of(signers.check, "a", 0, 0)
    signers.check("a", 1, 0)
    signers.forget_waiting()

    assert (refused.code, refused.log) == (
        32,
        "account sequence mismatch, expected 1, got 0: incorrect account sequence",
    )
    signers.check("a", 0, 0)
    signers.include("a", 0)
    assert signers.by_address["a"].sequence == 1


def test_deposits_are_owed_in_the_order_of_addresses():
    signers = Signers()
    for number in range(20):
        signers.open(f"dydx1{number:02}")
        signers.owe(f"dydx1{number:02}", 1)

    owed = [signer.address for signer in signers.owed()]

    assert owed == sorted(owed)


def test_a_time_may_stand_in_place_of_a_sequence_once_and_within_its_window():
    signers, now = Signers(), 1_800_000_000_000
    signers.check("a", now, now)
    signers.use("a", now)

    assert refusal_of(signers.check, "a", now, now).log.startswith(f"timestamp nonce {now} rejected")
    assert "not within valid time window" in refusal_of(signers.check, "a", now - NONCE_WINDOW_MS - 1, now).log
    for nonce in range(now + 1, now + 25):
        signers.check("a", nonce, now)
        signers.use("a", nonce)
    assert "rejected" in refusal_of(signers.check, "a", now + 3, now).log
    assert signers.by_address["a"].sequence == 0


def packed(message):
    box = Any()
    box.Pack(message, type_url_prefix="/")
    return box
