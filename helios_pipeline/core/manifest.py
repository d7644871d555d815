"""The champion manifest: what live may trade, why, and who says so; signed with Ed25519.

Whoever trades on a manifest calls `verify_manifest` first. What it refuses is not a champion.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from helios_pipeline.core.canonical import canonical_bytes, from_document, parse_canonical
from helios_pipeline.core.errors import ManifestError
from helios_pipeline.core.keys import Network, PublicKey, SigningKey
from helios_pipeline.core.records import AllocationLimits, Costs, FeatureSettings, Instrument
from helios_pipeline.core.selection import GateResult

FORMAT = "helios-manifest/1"
"""Stands in the file and before the signed bytes, so that a signature of anything else is none of a manifest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingTerms:
    """On what terms the parameters were judged, and live must trade.

    Attributes:
        strategy_version: of `decide`, `allocate` and the features.
        bar_seconds: length of a bar.
        funding_interval_seconds: time between settlements of the venue that is traded.
        instruments: with tick, lot and minimum sizes, sorted by id.
        costs: that the evidence includes.
        limits: of sizing.
        features: settings of the features.
    """

    strategy_version: str
    bar_seconds: int
    funding_interval_seconds: int
    instruments: tuple[Instrument, ...]
    costs: Costs
    limits: AllocationLimits
    features: FeatureSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What the evidence was found on.

    Attributes:
        market_data: identity of the data's source; says so if the market is simulated.
        data_hashes: name of each input → hash of its content.
        round_id: the optimization round.
        trials: ledger count N at the decision.
    """

    market_data: str
    data_hashes: Mapping[str, str]
    round_id: str
    trials: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """Who lets this trade, where and until when.

    Attributes:
        network: where it may trade.
        approver: a person, or the pipeline.
        created_at: UTC.
        expires_at: from this instant on it is no champion; None for no end.
    """

    network: Network
    approver: str
    created_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A champion.

    Attributes:
        parameters: the parameter set, name → number.
        terms: on which it was judged.
        provenance: of its evidence.
        evidence: every gate with value and threshold.
        approval: network, person, time.
    """

    parameters: Mapping[str, int | float]
    terms: TradingTerms
    provenance: Provenance
    evidence: tuple[GateResult, ...]
    approval: Approval


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedManifest:
    """A manifest's canonical bytes with a signature, which may be anyone's until it is verified.

    Attributes:
        content: canonical bytes of the manifest.
        key_id: of the key that is said to have signed.
        signature: 64 bytes.
    """

    content: bytes
    key_id: str
    signature: bytes

    def to_bytes(self) -> bytes:
        """The file's bytes: canonical JSON of format, key id, manifest and signature."""
        envelope = {"format": FORMAT, "key_id": self.key_id, "signature": self.signature.hex()}
        return canonical_bytes({**envelope, "manifest": parse_canonical(self.content, "manifest")})

    @classmethod
    def from_bytes(cls, data: bytes) -> "SignedManifest":
        """Read a file's bytes, or `canonical_bytes` of the same document from a database.

        Raises:
            ManifestError: not a manifest of this format, unsigned, or not in the form `to_bytes` gives.
        """
        envelope = parse_canonical(data, "manifest")
        if not isinstance(envelope, dict) or envelope.get("format") != FORMAT:
            raise ManifestError(f"manifest: expected format {FORMAT}, found another. Promote with this version again.")
        if not envelope.get("signature") or not envelope.get("key_id"):
            raise ManifestError("manifest: expected a signature and its key's id, found it unsigned. Promote again.")
        expected = {"format", "key_id", "manifest", "signature"}
        if set(envelope) != expected:
            raise ManifestError(f"manifest: expected {sorted(expected)}, found {sorted(envelope)}. Promote again.")
        content = canonical_bytes(envelope["manifest"])
        return cls.from_record(content, key_id=str(envelope["key_id"]), signature=envelope["signature"])

    @classmethod
    def from_record(cls, content: bytes, *, key_id: str, signature: object) -> "SignedManifest":
        """Put together what a database keeps in three columns.

        Args:
            content: canonical bytes of the manifest.
            key_id: of the key that is said to have signed.
            signature: in hex.

        Raises:
            ManifestError: the signature is not 64 bytes in hex.
        """
        return cls(content=content, key_id=key_id, signature=_signature(signature))

    @property
    def content_hash(self) -> str:
        """SHA-256 of the canonical bytes: names the manifest in records and logs."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Where a manifest is to be used: it must have been made for exactly this.

    Attributes:
        network: that is traded on.
        bar_seconds: length of the bars that are traded.
        strategy_version: of the code that trades.
    """

    network: Network
    bar_seconds: int
    strategy_version: str


def sign_manifest(manifest: Manifest, key: SigningKey) -> SignedManifest:
    """Sign for the network that the approval names.

    Raises:
        ManifestError: keys of this purpose may not sign for that network.
    """
    network = manifest.approval.network
    if not key.public.may_sign_for(network):
        raise ManifestError(
            f"manifest for {network}: expected an operator's key, found the {key.public.purpose} key "
            f"{key.public.key_id}. Sign with `helios promote --approve` and an operator's key."
        )
    content = canonical_bytes(manifest)
    return SignedManifest(content=content, key_id=key.public.key_id, signature=key.sign(_to_sign(content)))


def verify_manifest(
    signed: SignedManifest, *, deployment: Deployment, trusted: Mapping[str, Sequence[PublicKey]], now: datetime
) -> Manifest:
    """The manifest, if it is genuine, made for this deployment, and still valid.

    Args:
        signed: as read.
        deployment: where it is to be used.
        trusted: network → keys that may sign for it.
        now: UTC.

    Raises:
        ManifestError: the key is not trusted for this network, the content was altered, it was made for another
            network, bar length or strategy version, or it has expired; names which.
    """
    key = _trusted_key(signed.key_id, deployment.network, trusted)
    if not key.verifies(signed.signature, _to_sign(signed.content)):
        raise ManifestError(
            f"manifest: expected the signature of key {key.key_id} over its content, found it altered. "
            "Restore the file that `helios promote` wrote, or promote again."
        )
    manifest = from_document(Manifest, parse_canonical(signed.content, "manifest"), "manifest")
    _check_deployment(manifest, deployment)
    expires_at = manifest.approval.expires_at
    if expires_at is not None and now >= expires_at:
        raise ManifestError(f"manifest: expected one valid at {now}, found it expired at {expires_at}. Promote again.")
    return manifest


def _trusted_key(key_id: str, network: Network, trusted: Mapping[str, Sequence[PublicKey]]) -> PublicKey:
    for key in trusted.get(network, ()):
        if key.key_id == key_id and key.may_sign_for(network):
            return key
    others = [name for name, keys in trusted.items() if any(key.key_id == key_id for key in keys)]
    listed = f"one listed for {' and '.join(others)}" if others else "one listed nowhere"
    raise ManifestError(
        f"manifest: expected a key that is trusted for {network}, found {key_id}, {listed}. List an operator's key "
        f"(for paper: or the pipeline's) under keys.{network} in helios.toml, or promote with a key that is listed."
    )


def _check_deployment(manifest: Manifest, deployment: Deployment) -> None:
    found = {
        "network": (deployment.network, manifest.approval.network),
        "bar length in seconds": (deployment.bar_seconds, manifest.terms.bar_seconds),
        "strategy version": (deployment.strategy_version, manifest.terms.strategy_version),
    }
    for name, (expected, made_for) in found.items():
        if expected != made_for:
            raise ManifestError(f"manifest: expected {name} {expected}, found {made_for}. Promote for this one.")


def _to_sign(content: bytes) -> bytes:
    return FORMAT.encode() + b"\n" + content


def _signature(text: object) -> bytes:
    try:
        signature = bytes.fromhex(str(text))
    except ValueError:
        signature = b""
    if signature.hex() != text or len(signature) != 64:
        raise ManifestError(f"manifest: expected a signature of 64 bytes in hex, found {text!r}. Promote again.")
    return signature
