"""Where alerts go, from the environment or from files that only their owner can read."""

import ipaddress
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from helios_pipeline.core.errors import SettingsError

URL = "HELIOS_WEBHOOK_URL"
SECRET = "HELIOS_WEBHOOK_SECRET"
WebhookFormat = Literal["helios", "slack", "discord"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A receiver of alerts; its repr shows neither address nor secret.

    Attributes:
        url: of the receiver; for Slack and Discord the address itself is the secret.
        secret: that requests are signed with; empty for none.
        format: of the body.
    """

    url: str = field(repr=False)
    secret: str = field(repr=False)
    format: WebhookFormat

    @property
    def host(self) -> str:
        """What may be said of the address."""
        return urlsplit(self.url).hostname or ""


def read_webhook(environment: Mapping[str, str], webhook_format: WebhookFormat) -> Webhook | None:
    """The receiver that the environment names; None if it names none.

    Read are `HELIOS_WEBHOOK_URL` and `HELIOS_WEBHOOK_SECRET`, or the files that `…_FILE` names.

    Raises:
        SettingsError: an address that would send alerts in the clear, no secret where the format is signed, or a file
            that is absent or open to others.
    """
    url = _read(environment, URL)
    if not url:
        return None
    secret = _read(environment, SECRET)
    try:
        parts = urlsplit(url)
        sound = bool(parts.hostname) and (
            parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname))
        )
    except ValueError:
        sound = False
    if not sound:
        # What was found is not repeated: it is a secret.
        raise SettingsError(
            f"{URL}: expected an address that begins with https://, or http:// on this machine, found another. "
            "Correct it."
        )
    if webhook_format == "helios" and not secret:
        raise SettingsError(
            f"{SECRET}: expected a secret to sign alerts with, found none. Set it to a random text that the receiver "
            "knows too, or choose slack or discord as watchdog.webhook_format."
        )
    return Webhook(url=url, secret=secret, format=webhook_format)


def _is_loopback(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _read(environment: Mapping[str, str], name: str) -> str:
    """Value of a variable, or of the file that it names."""
    if value := environment.get(name, "").strip():
        return value
    path = environment.get(f"{name}_FILE", "")
    given = environment.get("CREDENTIALS_DIRECTORY", "")
    return read_secret_file(Path(path), f"{name}_FILE", Path(given) if given else None) if path else ""


def read_secret_file(path: Path, what: str, credentials: Path | None) -> str:
    """Text of a file that is nobody's but its owner's, without white space around it.

    Args:
        path: of the file.
        what: named in errors.
        credentials: folder in which systemd keeps secrets for this service alone, whatever their mode.

    Raises:
        SettingsError: no such file, others may read it, or it is no text.
    """
    guarded = credentials is not None and path.parent == credentials
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise SettingsError(f"{what}: expected a file at {path}, found: {error.strerror}. Correct the path.") from None
    with os.fdopen(descriptor, encoding="utf-8") as file:
        if not guarded and stat.S_IMODE(os.fstat(descriptor).st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
            raise SettingsError(f"{what}: expected {path} to be readable by its owner only. Run chmod 600 {path}")
        try:
            return file.read().strip()
        except UnicodeDecodeError:
            raise SettingsError(f"{what}: expected text in {path}, found bytes that are none. Correct it.") from None
