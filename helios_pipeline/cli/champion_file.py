"""The champion's file of this home, kept equal to the champion on record."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from helios_pipeline.adapters.champion.files import champion_path, read_champion, write_champion
from helios_pipeline.cli.terminal import out
from helios_pipeline.core.errors import ManifestError
from helios_pipeline.core.keys import Network
from helios_pipeline.core.manifest import SignedManifest

if TYPE_CHECKING:
    from helios_pipeline.adapters.postgres.promotions import ChampionRow


def bring_file_up_to_date(home: Path, network: Network, rows: Sequence["ChampionRow"]) -> None:
    """Let the file of this home be the champion on record, where it is absent or an earlier one.

    Another home on the same database may have promoted since, and a run may have been killed before it wrote the file.

    Args:
        home: where the file lies.
        network: whose champion.
        rows: everything the network traded, newest first, at least one.

    Raises:
        ManifestError: the file was never recorded.
    """
    on_record = [signed_manifest(row) for row in rows]
    path = champion_path(home, network)
    found = read_champion(home, network) if path.exists() else None
    if found is not None and found not in on_record:
        raise ManifestError(
            f"{path}: expected the champion on record, manifest {on_record[0].content_hash}, found one that was never "
            "recorded. Remove the file and find out who wrote it."
        )
    if found != on_record[0]:
        write_champion(home, network, on_record[0])
        held = "held an earlier champion" if found is not None else "was not there"
        out.print(f"{path} {held}; it holds the present champion now.", highlight=False)


def signed_manifest(row: "ChampionRow") -> SignedManifest:
    """The manifest of a champion on record, which may be anyone's until it is verified."""
    return SignedManifest.from_record(row.manifest, key_id=row.key_id, signature=row.signature)
