import base64
import hashlib

import pytest

from helios_pipeline.core.errors import ManifestError
from helios_pipeline.core.keys import PublicKey, SigningKey

# RFC 8032, section 7.1, test 2.
SEED = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
PUBLIC = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
SIGNATURE = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


def test_signature_of_rfc_8032_is_reproduced() -> None:
    key = SigningKey.from_seed(SEED, "operator")

    assert key.public.raw == PUBLIC
    assert key.sign(b"\x72") == SIGNATURE
    assert key.public.verifies(SIGNATURE, b"\x72")
    assert not key.public.verifies(SIGNATURE, b"\x73")


def test_key_id_is_the_start_of_the_hash_of_the_public_key() -> None:
    assert PublicKey(purpose="pipeline", raw=PUBLIC).key_id == hashlib.sha256(PUBLIC).hexdigest()[:16]


def test_a_public_key_is_read_back_from_its_text() -> None:
    key = PublicKey(purpose="operator", raw=PUBLIC)

    assert PublicKey.parse(key.text) == key


@pytest.mark.parametrize(
    "text",
    [
        "",
        base64.b64encode(PUBLIC).decode(),
        "friend:ed25519:" + base64.b64encode(PUBLIC).decode(),
        "operator:ed25519:" + base64.b64encode(PUBLIC[:-1]).decode(),
        "operator:ed25519:not base64",
    ],
)
def test_a_text_that_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(ManifestError, match="expected pipeline:ed25519:… or operator:ed25519:…"):
        PublicKey.parse(text)


@pytest.mark.parametrize(
    ("purpose", "network", "allowed"),
    [("pipeline", "paper", True), ("pipeline", "testnet", False), ("pipeline", "mainnet", False)]
    + [("operator", network, True) for network in ("paper", "testnet", "mainnet")],
)
def test_only_an_operator_signs_for_networks_with_real_orders(purpose, network: str, allowed: bool) -> None:
    assert PublicKey(purpose=purpose, raw=PUBLIC).may_sign_for(network) is allowed


def test_the_private_part_is_not_shown() -> None:
    assert SEED.hex() not in repr(SigningKey.from_seed(SEED, "operator"))
