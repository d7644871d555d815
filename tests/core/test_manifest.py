import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helios_pipeline.core.canonical import canonical_bytes
from helios_pipeline.core.errors import ManifestError
from helios_pipeline.core.keys import Network, PublicKey, SigningKey
from helios_pipeline.core.manifest import (
    Approval,
    Deployment,
    Manifest,
    Provenance,
    SignedManifest,
    TradingTerms,
    sign_manifest,
    verify_manifest,
)
from helios_pipeline.core.records import AllocationLimits, Costs, FeatureSettings, Instrument
from helios_pipeline.core.selection import GateResult

NOW = datetime(2025, 7, 1, tzinfo=UTC)
PIPELINE = SigningKey.from_seed(bytes(range(32)), "pipeline")
OPERATOR = SigningKey.from_seed(bytes(range(1, 33)), "operator")
TRUSTED = {"paper": [PIPELINE.public, OPERATOR.public], "testnet": [OPERATOR.public], "mainnet": [OPERATOR.public]}
HERE = Deployment(network="paper", bar_seconds=900, strategy_version="mean_reversion_funding/1")


def manifest(network: Network = "paper") -> Manifest:
    bitcoin = Instrument(
        instrument_id="BTCUSDT-PERP.BINANCE",
        tick=Decimal("0.10"),
        lot=Decimal("0.001"),
        min_quantity=Decimal("0.001"),
        min_notional_quote=Decimal("100"),
        max_notional_quote=Decimal("5E+6"),
    )
    terms = TradingTerms(
        strategy_version=HERE.strategy_version,
        bar_seconds=900,
        funding_interval_seconds=28_800,
        instruments=(bitcoin,),
        costs=Costs(
            fee_fraction=Decimal("0.0005"),
            half_spread_bps=Decimal("0.5"),
            slippage_bps=Decimal("0.5"),
            stop_slippage_bps=Decimal("1"),
        ),
        limits=AllocationLimits(vol_target=0.2, max_leverage=3.0, gross_cap=3.0, max_open=2),
        features=FeatureSettings(
            funding_lookback=30,
            funding_std_floor=1e-6,
            atr_bars=96,
            vol_lookback=672,
            periods_per_year=35_040,
            max_gap_bars=8,
            open_interest_delay_minutes=5,
        ),
    )
    gate = GateResult(
        name="deflated_sharpe", passed=True, value=0.97, rule="at least", threshold=0.95, explanation="Above luck: σ."
    )
    return Manifest(
        parameters={"entry_z": 2.0, "exit_z": -0.5, "lookback_bars": 96},
        terms=terms,
        provenance=Provenance(market_data="archive", data_hashes={"bars": "ab"}, round_id="r1", trials=2160),
        evidence=(gate, replace(gate, name="holdout", value=None, passed=None, threshold=None)),
        approval=Approval(network=network, approver="pipeline", created_at=NOW, expires_at=NOW + timedelta(days=90)),
    )


def verify(signed: SignedManifest, *, deployment: Deployment = HERE, now: datetime = NOW) -> Manifest:
    return verify_manifest(signed, deployment=deployment, trusted=TRUSTED, now=now)


SIGNED = sign_manifest(manifest(), PIPELINE)


def test_a_signed_manifest_read_back_from_its_file_is_the_one_signed() -> None:
    assert verify(SignedManifest.from_bytes(SIGNED.to_bytes())) == manifest()


def test_the_file_of_a_manifest_is_always_the_same() -> None:
    assert sign_manifest(manifest(), PIPELINE).to_bytes() == SIGNED.to_bytes()


def test_parameters_keep_their_types() -> None:
    read = verify(SignedManifest.from_bytes(SIGNED.to_bytes())).parameters

    assert {name: type(value) for name, value in read.items()} == {
        "entry_z": float,
        "exit_z": float,
        "lookback_bars": int,
    }


FILE = SIGNED.to_bytes()


@settings(deadline=None, max_examples=300)
@given(st.integers(0, len(FILE) - 1), st.integers(1, 255))
def test_a_file_with_any_one_byte_altered_is_refused(position: int, difference: int) -> None:
    altered = bytearray(FILE)
    altered[position] ^= difference

    with pytest.raises(ManifestError):
        verify(SignedManifest.from_bytes(bytes(altered)))


@settings(deadline=None)
@given(st.integers(0, len(FILE) - 1))
def test_a_file_cut_anywhere_is_refused(length: int) -> None:
    with pytest.raises(ManifestError):
        SignedManifest.from_bytes(FILE[:length])


def test_every_byte_of_the_content_is_signed() -> None:
    for position in range(0, len(SIGNED.content), 7):
        altered = bytearray(SIGNED.content)
        altered[position] ^= 1
        with pytest.raises(ManifestError, match="found it altered"):
            verify(replace(SIGNED, content=bytes(altered)))


@pytest.mark.parametrize("lost", ["signature", "key_id"])
def test_an_unsigned_manifest_is_refused(lost: str) -> None:
    envelope = json.loads(FILE)
    del envelope[lost]

    with pytest.raises(ManifestError, match="found it unsigned"):
        SignedManifest.from_bytes(canonical_bytes(envelope))


def test_a_manifest_with_a_field_that_is_not_signed_is_refused() -> None:
    with pytest.raises(ManifestError, match=r"found .*'note'"):
        SignedManifest.from_bytes(FILE.replace(b',"signature"', b',"note":"","signature"'))


def test_a_file_of_another_format_is_refused() -> None:
    with pytest.raises(ManifestError, match="expected format helios-manifest/1"):
        SignedManifest.from_bytes(canonical_bytes({"format": "helios-manifest/2"}))


def test_a_signed_manifest_is_put_together_from_a_database_s_columns() -> None:
    signature = SIGNED.signature.hex()

    assert SignedManifest.from_record(SIGNED.content, key_id=SIGNED.key_id, signature=signature) == SIGNED
    for damaged in (signature[:-2], "", None, signature + " ", "g" * 128):
        with pytest.raises(ManifestError, match="64 bytes in hex"):
            SignedManifest.from_record(SIGNED.content, key_id=SIGNED.key_id, signature=damaged)


def test_a_signature_in_capitals_is_refused() -> None:
    text = SIGNED.signature.hex().encode()

    with pytest.raises(ManifestError, match="64 bytes in hex"):
        SignedManifest.from_bytes(FILE.replace(text, text.upper()))


def test_a_key_that_is_listed_nowhere_is_refused() -> None:
    stranger = SigningKey.from_seed(bytes(32), "operator")

    with pytest.raises(ManifestError, match=f"found {stranger.public.key_id}, one listed nowhere"):
        verify(sign_manifest(manifest(), stranger))


def test_a_signature_of_another_key_under_a_trusted_name_is_refused() -> None:
    stranger = SigningKey.from_seed(bytes(32), "operator")
    forged = replace(sign_manifest(manifest(), stranger), key_id=PIPELINE.public.key_id)

    with pytest.raises(ManifestError, match="found it altered"):
        verify(forged)


def test_a_key_trusted_for_another_network_only_is_refused() -> None:
    with pytest.raises(ManifestError, match=r"trusted for mainnet, found .* one listed for paper"):
        verify(SIGNED, deployment=replace(HERE, network="mainnet"))


def test_a_pipeline_key_listed_for_mainnet_by_mistake_is_refused() -> None:
    with pytest.raises(ManifestError, match="trusted for mainnet"):
        verify_manifest(
            SIGNED,
            deployment=replace(HERE, network="mainnet"),
            trusted={"mainnet": [PIPELINE.public]},
            now=NOW,
        )


@pytest.mark.parametrize("network", ["testnet", "mainnet"])
def test_the_pipeline_cannot_sign_for_networks_with_real_orders(network: Network) -> None:
    with pytest.raises(ManifestError, match=f"manifest for {network}: expected an operator's key"):
        sign_manifest(manifest(network), PIPELINE)


@pytest.mark.parametrize("network", ["paper", "testnet", "mainnet"])
def test_an_operator_signs_for_every_network(network: Network) -> None:
    signed = sign_manifest(manifest(network), OPERATOR)

    assert verify(signed, deployment=replace(HERE, network=network)).approval.network == network


@pytest.mark.parametrize(
    ("deployment", "message"),
    [
        (replace(HERE, network="testnet"), "expected network testnet, found paper"),
        (replace(HERE, bar_seconds=15), "expected bar length in seconds 15, found 900"),
        (replace(HERE, strategy_version="x/2"), "expected strategy version x/2, found mean_reversion_funding/1"),
    ],
)
def test_a_manifest_made_for_elsewhere_is_refused(deployment: Deployment, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        verify(sign_manifest(manifest(), OPERATOR), deployment=deployment)


def test_a_manifest_expires_at_its_instant() -> None:
    expires_at = NOW + timedelta(days=90)

    assert verify(SIGNED, now=expires_at - timedelta(microseconds=1)) == manifest()
    with pytest.raises(ManifestError, match="expired at 2025-09-29"):
        verify(SIGNED, now=expires_at)


def test_a_manifest_without_end_does_not_expire() -> None:
    endless = replace(manifest(), approval=replace(manifest().approval, expires_at=None))

    assert verify(sign_manifest(endless, PIPELINE), now=NOW + timedelta(days=36_500)) == endless


def test_a_public_key_is_trusted_as_it_is_listed_in_settings() -> None:
    listed = {"paper": [PublicKey.parse(PIPELINE.public.text)]}

    assert verify_manifest(SIGNED, deployment=HERE, trusted=listed, now=NOW) == manifest()
