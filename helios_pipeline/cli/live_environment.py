"""What each process of live trading is given: its own secrets, and nobody else's."""

from collections.abc import Mapping
from pathlib import Path

from helios_pipeline.settings import Settings
from live_engine.redaction import is_secret_name

KEY_VARIABLES = ("HELIOS_DYDX_KEY", "HELIOS_DYDX_KEY_FILE")
WEBHOOK_VARIABLES = (
    "HELIOS_WEBHOOK_URL",
    "HELIOS_WEBHOOK_URL_FILE",
    "HELIOS_WEBHOOK_SECRET",
    "HELIOS_WEBHOOK_SECRET_FILE",
)
SECRET_FILES = "_FILE"


def engine_environment(
    environment: Mapping[str, str], settings: Settings, config: Path, live_url: str
) -> dict[str, str]:
    """For the engine: the trading key and the database as role `helios_live`."""
    secrets = {name: environment[name] for name in KEY_VARIABLES if environment.get(name)}
    return _common(environment, settings, config) | secrets | {"HELIOS_LIVE_DATABASE_URL": live_url}


def watchdog_environment(environment: Mapping[str, str], settings: Settings, config: Path) -> dict[str, str]:
    """For the watchdog: where alerts go, and how they are signed."""
    secrets = {name: environment[name] for name in WEBHOOK_VARIABLES if environment.get(name)}
    return _common(environment, settings, config) | secrets


def _common(environment: Mapping[str, str], settings: Settings, config: Path) -> dict[str, str]:
    """Everything that is no secret and does not say where one is."""
    kept = {name: value for name, value in environment.items() if not _is_private(name)}
    return kept | {
        "HELIOS_CONFIG": str(config.resolve()),
        "HELIOS_HOME": str(settings.home),
        "HELIOS_LIVE_NETWORK": settings.live.network,
        # What a process prints has to be there when it is killed.
        "PYTHONUNBUFFERED": "1",
    }


def _is_private(name: str) -> bool:
    # systemd's own variables are about our process, not about those that we start.
    ours = name in ("NOTIFY_SOCKET", "SYSTEMD_EXEC_PID", "INVOCATION_ID", "WATCHDOG_PID", "WATCHDOG_USEC")
    return ours or is_secret_name(name.removesuffix(SECRET_FILES))
