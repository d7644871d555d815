"""`helios keys`: keys that sign champions."""

from pathlib import Path
from typing import Annotated

import typer

from helios_pipeline.adapters.keys.files import load_key, new_key, trusted_keys
from helios_pipeline.cli.terminal import out, settings_of, table
from helios_pipeline.core.errors import SettingsError
from helios_pipeline.core.keys import NETWORKS

app = typer.Typer(no_args_is_help=True, help="Keys that sign champions.")


@app.command(epilog="Example:  helios keys new ~/keys/operator.json")
def new(
    path: Annotated[Path, typer.Argument(help="The new key file; never replaced if it exists.")],
    purpose: Annotated[
        str, typer.Option("--purpose", help="operator: signs for every network. pipeline: signs for paper only.")
    ] = "operator",
) -> None:
    """Make a key: the file (mode 0600) holds the private part, the public part is printed."""
    for known in NETWORKS:
        if known == purpose:
            public = new_key(path, known)
            break
    else:
        raise SettingsError(f"keys new --purpose: expected one of {', '.join(NETWORKS)}, found {purpose!r}.")
    typer.echo(public.text)
    out.print(
        f"Key {public.key_id} written to {path}. To trust it, list the line above in helios.toml under [keys], "
        f"for {' or '.join(NETWORKS[public.purpose])}.",
        highlight=False,
        markup=False,
    )


@app.command(epilog="Example:  helios keys show ~/keys/operator.json")
def show(
    path: Annotated[Path | None, typer.Argument(help="A key file; without one, the trusted keys.")] = None,
) -> None:
    """Print the public part of a key file, or the keys that are trusted for each network."""
    if path is not None:
        typer.echo(load_key(path).public.text)
        return
    rows = table("Trusted keys", "network", "key id", "purpose", "listed in")
    for network, trusted in trusted_keys(settings_of().home, settings_of().keys.model_dump()).items():
        for key, where in trusted:
            rows.add_row(network, key.key_id, key.purpose, where)
    out.print(rows)
