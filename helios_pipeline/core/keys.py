"""Ed25519 keys that sign champions, and what each may sign for."""

import base64
import binascii
import hashlib
from dataclasses import dataclass, field
from typing import Literal, get_args

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from helios_pipeline.core.errors import ManifestError

Network = Literal["paper", "testnet", "mainnet"]
Purpose = Literal["pipeline", "operator"]

NETWORKS: dict[Purpose, tuple[Network, ...]] = {"pipeline": ("paper",), "operator": get_args(Network)}
"""The pipeline signs unattended, so for paper only; real orders need a person's key."""

PIPELINE_NETWORK: Network = "paper"
"""What the pipeline promotes for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """The part of a key that is listed in settings.

    Attributes:
        purpose: whose key it is, which decides the networks it may sign for.
        raw: 32 bytes.
    """

    purpose: Purpose
    raw: bytes

    @property
    def key_id(self) -> str:
        """Short name of the key: the first 16 hex digits of the SHA-256 of its bytes."""
        return hashlib.sha256(self.raw).hexdigest()[:16]

    @property
    def text(self) -> str:
        """As it is listed in settings: `pipeline:ed25519:<base64>`."""
        return f"{self.purpose}:ed25519:{base64.b64encode(self.raw).decode()}"

    @classmethod
    def parse(cls, text: str) -> "PublicKey":
        """Read a key as settings list it.

        Raises:
            ManifestError: not of that form.
        """
        purpose, _, rest = text.partition(":ed25519:")
        try:
            raw = base64.b64decode(rest, validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        for known in get_args(Purpose):
            if purpose == known and len(raw) == 32:
                return cls(purpose=known, raw=raw)
        raise ManifestError(
            f"public key: expected pipeline:ed25519:… or operator:ed25519:… with 32 bytes in base64, found {text!r}. "
            "Copy the line that `helios keys new` prints."
        )

    def may_sign_for(self, network: str) -> bool:
        """Whether keys of this purpose are allowed to sign for a network."""
        return network in NETWORKS[self.purpose]

    def verifies(self, signature: bytes, data: bytes) -> bool:
        """Whether the signature over these bytes is this key's."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, data)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A private key in memory; its representation never shows it.

    Attributes:
        public: its public part.
    """

    public: PublicKey
    _private: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def from_seed(cls, seed: bytes, purpose: Purpose) -> "SigningKey":
        """The key of 32 secret bytes (RFC 8032)."""
        private = Ed25519PrivateKey.from_private_bytes(seed)
        return cls(public=PublicKey(purpose=purpose, raw=private.public_key().public_bytes_raw()), _private=private)

    def sign(self, data: bytes) -> bytes:
        """Signature of 64 bytes."""
        return self._private.sign(data)
