"""`helios promote`, `rollback` and `champion`."""

from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from getpass import getuser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from helios_pipeline.adapters.champion.files import write_champion
from helios_pipeline.adapters.keys.files import load_key, trusted_keys
from helios_pipeline.cli.champion_file import bring_file_up_to_date, signed_manifest
from helios_pipeline.cli.grid_file import GridFile, grid_overrides
from helios_pipeline.cli.terminal import First, Instruments, Last, State, open_database, out, settings_of, table
from helios_pipeline.core.calendar import BAR_INTERVAL
from helios_pipeline.core.errors import ManifestError, SettingsError
from helios_pipeline.core.keys import Network, PublicKey
from helios_pipeline.core.manifest import (
    Approval,
    Deployment,
    Manifest,
    SignedManifest,
    sign_manifest,
    verify_manifest,
)
from helios_pipeline.core.records import REAL_MARKET
from helios_pipeline.settings import Settings
from helios_pipeline.strategy.parameters import STRATEGY_VERSION

if TYPE_CHECKING:
    from helios_pipeline.adapters.postgres.promotions import PromotionStore

NetworkOption = Annotated[Network, typer.Option("--network", help="Whose champion.")]


def add_commands(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(epilog="Example:  helios promote --approve --network testnet --key ~/keys/operator.json")(promote)
    app.command(epilog="Example:  helios rollback --network paper --reason 'worse than expected'")(rollback)
    app.command(epilog="Example:  helios champion --network paper")(champion)


def promote(  # noqa: PLR0913 - one option each
    instruments: Instruments = None,
    first: First = None,
    last: Last = None,
    grid: GridFile = None,
    approve: Annotated[bool, typer.Option("--approve", help="Sign the paper champion with an operator's key.")] = False,
    network: Annotated[Network | None, typer.Option("--network", help="Where it may trade, with --approve.")] = None,
    key: Annotated[Path | None, typer.Option("--key", help="The operator's key file, with --approve.")] = None,
    approver: Annotated[
        str | None, typer.Option("--approver", help="Who approves, with --approve. Default: the user's name.")
    ] = None,
) -> None:
    """Decide about the round's candidate; with --approve, sign the paper champion for another network.

    The pipeline signs for paper only. Real orders need a person: --approve takes the paper champion, verifies it, and
    signs the same terms and evidence for the network with the operator's key.
    """
    settings = settings_of(instruments, first, last, grid_overrides(grid))
    if not approve:
        from helios_pipeline.cli.research import DECISION, run

        run(settings, DECISION)
        return
    if network is None or key is None:
        raise SettingsError(
            f"promote --approve: expected --network and --key, found network {network}, key {key}. "
            "Example: helios promote --approve --network testnet --key operator.json"
        )
    with open_database(settings) as database:
        signed = _approve(settings, _store(database.urls.pipeline), network, key, approver or getuser())
    path = write_champion(settings.home, network, signed)
    out.print(f"Champion for {network}: signed with key {signed.key_id}, written to {path}.", highlight=False)


def rollback(
    network: NetworkOption = "paper",
    reason: Annotated[str, typer.Option("--reason", help="Why, for those who look later.")] = "no reason given",
) -> None:
    """Return to the champion before the present one; the return is recorded, nothing is removed."""
    settings = settings_of()
    with open_database(settings) as database:
        row = _store(database.urls.pipeline).rollback(network, reason)
    write_champion(settings.home, network, signed_manifest(row))
    out.print(f"Champion for {network} is again that of round {row.round}, promotion {row.promotion_id}.")
    # The rollback stands either way; an engine trades nothing on a manifest that does not verify.
    verified(settings, signed_manifest(row), network)


def champion(
    network: NetworkOption = "paper",
    history: Annotated[bool, typer.Option("--history", help="Everything the network ever traded.")] = False,
) -> None:
    """Show and verify the champion: parameters, evidence, who signed it, until when it is valid."""
    settings = settings_of()
    with open_database(settings) as database:
        rows = _store(database.urls.pipeline).champions(network)
    if not rows:
        out.print(f"No champion for {network}: nothing was promoted there yet. Run `helios research`.")
        raise typer.Exit(ManifestError.exit_code)
    if history:
        shown = table(f"Champions for {network}, newest first", "since", "promotion", "round", "by", "reason")
        for row in rows:
            since = f"{row.since:%Y-%m-%d %H:%M}"
            shown.add_row(since, str(row.promotion_id), row.round, row.action.replace("_", " "), row.reason)
        out.print(shown)
        return
    signed = signed_manifest(rows[0])
    manifest = verified(settings, signed, network)
    bring_file_up_to_date(settings.home, network, rows)
    _show(manifest, signed)


def verified(settings: Settings, signed: SignedManifest, network: Network) -> Manifest:
    """The manifest, if this installation would let it trade.

    Raises:
        ManifestError: it would not; says why.
    """
    trusted = trusted_keys(settings.home, settings.keys.model_dump())
    bar_seconds = int(BAR_INTERVAL.total_seconds())
    return verify_manifest(
        signed,
        deployment=Deployment(network=network, bar_seconds=bar_seconds, strategy_version=STRATEGY_VERSION),
        trusted={name: [key for key, _ in keys] for name, keys in trusted.items()},
        now=datetime.now(UTC),
    )


def _approve(settings: Settings, store: "PromotionStore", network: Network, key: Path, approver: str) -> SignedManifest:
    from helios_pipeline.adapters.postgres.promotions import Decision

    row = store.champion("paper")
    if row is None:
        raise ManifestError("promote --approve: expected a paper champion, found none. Run `helios research` first.")
    paper = signed_manifest(row)
    manifest = verified(settings, paper, "paper")
    signing = load_key(key)
    _refuse_unfit(settings, manifest, network, signing.public)
    now = datetime.now(UTC)
    approval = Approval(
        network=network,
        approver=approver,
        created_at=now,
        expires_at=now + timedelta(days=settings.promotion.valid_days),
    )
    signed = sign_manifest(replace(manifest, approval=approval), signing)
    store.record(
        Decision(
            network=network,
            decision="promoted",
            round=row.round,
            candidate=dict(row.candidate),
            gates={"gates": [asdict(gate) for gate in manifest.evidence], "approved_by": approver},
            manifest=signed.content,
            signature=signed.signature.hex(),
            key_id=signed.key_id,
        )
    )
    return signed


def _refuse_unfit(settings: Settings, manifest: Manifest, network: Network, key: PublicKey) -> None:
    """Say before signing what an engine would refuse afterwards, and never let simulated evidence near real orders."""
    market_data = manifest.provenance.market_data
    if network != "paper" and market_data != REAL_MARKET:
        raise ManifestError(
            f"promote --approve for {network}: expected a champion found on {REAL_MARKET} data, found one found on "
            f"{market_data}. Run `helios research` on real history."
        )
    listed = [PublicKey.parse(text).key_id for text in settings.keys.model_dump()[network]]
    if key.key_id not in listed:
        raise ManifestError(
            f"promote --approve for {network}: expected a key listed under keys.{network} in {State.config}, found "
            f"{key.key_id}, which is not. Add the line {key.text!r} there, or use a key that is listed."
        )


def _store(url: str) -> "PromotionStore":
    from helios_pipeline.adapters.postgres.promotions import PromotionStore

    return PromotionStore(url)


def _show(manifest: Manifest, signed: SignedManifest) -> None:
    approval, terms = manifest.approval, manifest.terms
    facts: dict[str, Any] = {
        "parameters": ", ".join(f"{name} {value:g}" for name, value in manifest.parameters.items()),
        "instruments": ", ".join(instrument.instrument_id for instrument in terms.instruments),
        "market data": manifest.provenance.market_data,
        "round": manifest.provenance.round_id,
        "trials": f"{manifest.provenance.trials:,}",
        "strategy": terms.strategy_version,
        "approved": f"by {approval.approver} on {approval.created_at:%Y-%m-%d %H:%M} UTC",
        "valid until": "no end" if approval.expires_at is None else f"{approval.expires_at:%Y-%m-%d %H:%M} UTC",
        "signed": f"key {signed.key_id}, verified",
        "manifest": signed.content_hash,
    }
    shown = table(f"Champion for {approval.network}", "", "")
    for name, value in facts.items():
        shown.add_row(name, value)
    out.print(shown)
    gates = table("Evidence", "gate", "value", "needed")
    for gate in manifest.evidence:
        threshold = "" if gate.threshold is None else f"{gate.rule} {gate.threshold:g}"
        gates.add_row(gate.name.replace("_", " "), f"{gate.value:.4g}" if gate.value is not None else "", threshold)
    out.print(gates)
