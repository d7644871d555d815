"""The watchdog's process: looks at one account's engine each second, tells people, and has dead engines started again.

Under systemd it only judges: systemd starts what dies. Under `helios live` (`--supervised`) it decides when a dead
engine is started again, and asks for that on standard output; it hears on standard input what became of it, one JSON
object a line. So it never holds a trading key: who starts engines has it, and decides nothing. By itself it starts
engines with what its own environment holds.

Out: `{"ready": true, "account": …}`, `{"start": true}`, `{"kill": true}`, `{"gave_up": "why"}`.
In: `{"running": null}` to begin with or, by one whose watchdog died, how the engine is; then `{"started": pid}` and
`{"ended": code, "said": "…"}` as it happens, `{"stop": true}` at the end. An end without it means that who started
us is gone.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from helios_pipeline.adapters.postgres.lock_file import LockFile
from helios_pipeline.adapters.webhook.address import read_webhook
from helios_pipeline.adapters.webhook.outbox import Outbox
from helios_pipeline.adapters.webhook.sender import Sender
from helios_pipeline.core.errors import EngineError, HeliosError, SettingsError
from helios_pipeline.live_settings import WatchdogSection
from helios_pipeline.settings import Settings, load_settings
from live_engine.alert_desk import AlertDesk
from live_engine.engine_starter import EngineStarter
from live_engine.engine_watch import EngineWatch
from live_engine.heartbeat import HEARTBEAT
from live_engine.keepers import Keeper, LauncherKeeper, OwnKeeper, SystemdKeeper, look_until_told
from live_engine.logs import start_logs
from live_engine.redaction import Redactor
from live_engine.service_manager import is_service, notify
from live_engine.supervision import Supervision
from live_engine.venues import VenueChoice, account_id
from live_engine.watchdog import Limits

LAST_SECONDS = 10.0
"""For the last alerts to go out, when the watchdog ends; what does not waits in the outbox."""

LOCK_LOOK_SECONDS = 0.1


def main() -> None:
    """Entry point: run until SIGTERM, or until who started us has gone."""
    options = _options()
    try:
        settings = load_settings(options.config, os.environ)
        account = options.account or _account(settings)
        redactor = Redactor.of_environment(os.environ)
        with start_logs(sys.stderr, process="watchdog", redactor=redactor, common={"account": account}):
            asyncio.run(_watch(settings, account, redactor, options))
    except HeliosError as error:
        sys.stderr.write(f"helios: {error}\n")
        sys.exit(error.exit_code)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m live_engine.watchdog_main", description="Judge a live engine.")
    parser.add_argument("--config", type=Path, default=Path(os.environ.get("HELIOS_CONFIG", "helios.toml")))
    parser.add_argument("--account", help="Whose engine. Default: the one of helios.toml.")
    who = parser.add_mutually_exclusive_group()
    who.add_argument("--supervised", action="store_true", help="Ask on standard output for engines to be started.")
    who.add_argument("--judge", action="store_true", help="Start none; so it is under systemd in any case.")
    return parser.parse_args()


def _account(settings: Settings) -> str:
    """The account of the settings; with real orders its name follows from a key that we have not, so it is looked for.

    Raises:
        SettingsError: there is none, or there are several.
    """
    live = settings.live
    if live.network == "paper":
        choice = VenueChoice(live=live, addresses=settings.live_venues, instruments=settings.live_instruments)
        return account_id(choice, {})
    found = sorted(
        path.name for path in (settings.home / "live").glob(f"{live.venue}-*") if path.name != f"{live.venue}-paper"
    )
    if len(found) != 1:
        raise SettingsError(
            f"watchdog --account: expected one account of {live.venue} in {settings.home / 'live'}, found "
            f"{', '.join(found) or 'none'}. Name it, or start the engine first."
        )
    return found[0]


async def _watch(settings: Settings, account: str, redactor: Redactor, options: argparse.Namespace) -> None:
    """Look each second until we are told to stop.

    Raises:
        EngineError: another watchdog looks at this account.
    """
    folder = settings.home / "live" / account
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    webhook = read_webhook(os.environ, settings.watchdog.webhook_format)
    with LockFile(folder / "watchdog.lock") as lock:
        # Under `helios live` an earlier one may be about to end: it has seen that its own is gone.
        if not await _own(lock, 2 * LAST_SECONDS if options.supervised else 0.0):
            raise EngineError(
                f"watchdog of {account}: expected to be the only one, found that another holds "
                f"{folder / 'watchdog.lock'}. Stop it first."
            )
        sender = None if webhook is None else Sender(Outbox.open(folder / "outbox"), webhook)
        if webhook is not None:
            redactor.add(webhook.url, webhook.secret)
        desk = AlertDesk.open(folder, account, redactor, sender, settings.watchdog)
        watch = EngineWatch(folder / HEARTBEAT)
        limits = Limits(
            watchdog=settings.watchdog,
            reconcile_seconds=settings.live.reconcile_seconds,
            max_copy_lag_seconds=settings.risk_gate.max_copy_lag_seconds,
        )
        keeper = _keeper(options, desk, watch, settings.watchdog)
        _ask({"ready": True, "account": account})
        notify("READY=1")
        sending = asyncio.create_task(desk.send())
        await look_until_told(desk, watch, limits, keeper, settings.live.heartbeat_seconds)
        await desk.flush(LAST_SECONDS)
        sending.cancel()


def _keeper(options: argparse.Namespace, desk: AlertDesk, watch: EngineWatch, limits: WatchdogSection) -> Keeper:
    """Who sees to it that there is an engine."""
    if options.judge or is_service(os.environ, os.getpid()):
        return SystemdKeeper(desk)
    folder = watch.path.parent
    if options.supervised:
        return LauncherKeeper(Supervision(folder, desk, watch, limits, _ask), sys.stdin)
    starter = EngineStarter(options.config, folder, os.environ)
    return OwnKeeper(Supervision(folder, desk, watch, limits, starter.ask), starter)


async def _own(lock: LockFile, seconds: float) -> bool:
    """Whether the lock is ours, within some seconds."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not (ours := lock.try_own()) and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(LOCK_LOOK_SECONDS)
    return ours


def _ask(what: Mapping[str, object]) -> None:
    with suppress(BrokenPipeError):
        sys.stdout.write(json.dumps(what) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
