"""Key files: made once, readable by their owner alone."""

import json
import os
import secrets
import stat
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

from helios_pipeline.core.errors import ManifestError
from helios_pipeline.core.keys import NETWORKS, PublicKey, Purpose, SigningKey


def new_key(path: Path, purpose: Purpose) -> PublicKey:
    """Make a key and write it to a new file with mode 0600.

    The file appears whole or not at all, and an existing one is never replaced.

    Args:
        path: of the new file; missing folders are made, for their owner alone.
        purpose: whose key it is, which decides the networks it may sign for.

    Returns:
        The public part, whose `text` is listed in settings; the private part stays in the file.

    Raises:
        ManifestError: something is at `path` already, or it can't be written.
    """
    seed = secrets.token_bytes(32)
    public = SigningKey.from_seed(seed, purpose).public
    document = {"networks": NETWORKS[purpose], "private_key": seed.hex(), "public_key": public.text, "purpose": purpose}
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write_new(path, json.dumps(document, indent=2) + "\n")
    except FileExistsError:
        raise ManifestError(
            f"new key: expected nothing at {path}, found a file, which is never replaced. Choose another path."
        ) from None
    except OSError as error:
        raise ManifestError(f"new key: expected to write {path}, found: {error.strerror}.") from None
    return public


def load_key(path: Path) -> SigningKey:
    """Read a key file.

    Raises:
        ManifestError: there is none, others than its owner may read it, or it is damaged.
    """
    content = _read_private(path)
    try:
        return _parse(content)
    except (ValueError, KeyError, TypeError, StopIteration):
        # The content is never shown: it may hold the private part.
        raise ManifestError(
            f"key file {path}: expected one made by `helios keys new`, found it damaged. Make another."
        ) from None


def _parse(content: bytes) -> SigningKey:
    values = json.loads(content)
    purpose = next(known for known in get_args(Purpose) if known == values["purpose"])
    key = SigningKey.from_seed(bytes.fromhex(values["private_key"]), purpose)
    if values["public_key"] != key.public.text:
        raise ValueError("the public part is not of the private part")
    return key


def _write_new(path: Path, text: str) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.link(name, path)  # fails where a file is, unlike a rename
    finally:
        os.unlink(name)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read_private(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                raise ManifestError(
                    f"key file {path}: expected mode 0600, readable by its owner alone, found {mode:04o}. "
                    f"Run `chmod 600 {path}`; if others may have read it, make another key and list that one."
                )
            return file.read()
    except FileNotFoundError:
        raise ManifestError(f"key file: expected one at {path}, found none. Make it with `helios keys new`.") from None
    except OSError as error:
        raise ManifestError(f"key file {path}: expected a file that can be read, found: {error.strerror}.") from None


def trusted_keys(home: Path, listed: Mapping[str, Sequence[str]]) -> dict[str, list[tuple[PublicKey, str]]]:
    """Public keys per network with where they stand: helios.toml and, for paper, this home's own pipeline key."""
    trusted = {network: [(PublicKey.parse(text), "helios.toml") for text in texts] for network, texts in listed.items()}
    own = home / "keys" / "pipeline.json"
    if own.exists():
        trusted["paper"].append((load_key(own).public, str(own)))
    return trusted
