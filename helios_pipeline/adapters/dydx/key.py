"""The key that signs orders: from the environment or a file of its owner's, never shown."""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helios_pipeline.core.errors import SettingsError

KEY_VARIABLE = "HELIOS_DYDX_KEY"
KEY_FILE_VARIABLE = "HELIOS_DYDX_KEY_FILE"

_HEX_DIGITS = 64
_MNEMONIC_WORDS = (12, 15, 18, 21, 24)


@dataclass(frozen=True, slots=True)
class DydxKey:
    """A secp256k1 key in memory; neither `repr` nor an error message shows it.

    Attributes:
        address: of the wallet, `dydx1…`.
    """

    address: str
    _pair: Any = field(repr=False, compare=False)

    @property
    def pair(self) -> Any:  # noqa: ANN401 - of an untyped library
        """dydx-v4-client's key pair, for who signs."""
        return self._pair

    @classmethod
    def parse(cls, text: str, *, source: str) -> "DydxKey":
        """Read a key: 64 hexadecimal digits, `0x` before them or not, or a mnemonic of 12 to 24 words.

        Args:
            text: the secret.
            source: where it is from, for the message.

        Raises:
            SettingsError: it is neither.
        """
        # Seconds to load, and only who trades needs it.
        from dydx_v4_client.key_pair import KeyPair
        from dydx_v4_client.wallet import Wallet

        secret = text.strip()
        digits = secret.removeprefix("0x")
        try:
            if len(secret.split()) in _MNEMONIC_WORDS:
                pair = KeyPair.from_mnemonic(" ".join(secret.split()))
            else:
                pair = KeyPair.from_hex(_checked_digits(digits))
        except ValueError:
            # What the libraries say of a bad secret may hold a part of it.
            raise SettingsError(
                f"{source}: expected a private key of 64 hexadecimal digits or a mnemonic of 12 to 24 words, found "
                "something else. Export it from your wallet again."
            ) from None
        return cls(Wallet(pair, 0, 0).address, pair)

    @classmethod
    def load(cls, environment: Mapping[str, str]) -> "DydxKey":
        """The key of `HELIOS_DYDX_KEY`, or of the file that `HELIOS_DYDX_KEY_FILE` names.

        Raises:
            SettingsError: neither or both are set, others than its owner may read the file, or it holds no key.
        """
        text, path = (environment.get(name, "") for name in (KEY_VARIABLE, KEY_FILE_VARIABLE))
        if bool(text) == bool(path):
            found = "both" if text else "neither"
            raise SettingsError(
                f"dYdX key: expected {KEY_VARIABLE} or {KEY_FILE_VARIABLE} in the environment, found {found}. "
                f"Name a file of mode 0600 in {KEY_FILE_VARIABLE}."
            )
        if text:
            return cls.parse(text, source=KEY_VARIABLE)
        # What systemd hands over is guarded by it, whatever the file's mode says.
        credentials = environment.get("CREDENTIALS_DIRECTORY", "")
        guarded = bool(credentials) and Path(path).is_relative_to(credentials)
        return cls.parse(_read_key(Path(path), guarded=guarded), source=path)


def _checked_digits(digits: str) -> str:
    if len(digits) != _HEX_DIGITS:
        raise ValueError("not the length of a private key")
    return bytes.fromhex(digits).hex()


def _read_key(path: Path, *, guarded: bool) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077 and not guarded:
                raise SettingsError(
                    f"dYdX key file {path}: expected mode 0600, readable by its owner alone, found {mode:04o}. "
                    f"Run `chmod 600 {path}`; if others may have read it, move the money to another key."
                )
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"dYdX key file {path}: expected a file that can be read, found: {error}. Correct {KEY_FILE_VARIABLE}."
        ) from None
