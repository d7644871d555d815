"""A process with one simulated venue in it: `python -m simulated_venues.main binance --settings FILE`.

It prints one line of JSON when clients may connect, with where, and serves until SIGTERM, SIGINT or, if it was given
its settings through standard input, that input's end: so a venue never outlives who started it, however that one died.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import msgspec
import uvloop

from helios_pipeline.core.errors import HeliosError, SettingsError
from simulated_venues.dydx.settings import DydxSettings
from simulated_venues.process_settings import ProcessSettings, read_settings
from simulated_venues.scenario import VENUES, play
from simulated_venues.sources import open_source
from simulated_venues.venue import Venue

STANDARD_INPUT = Path("-")


def make_venue(settings: ProcessSettings) -> Venue:
    """The venue that settings describe, over its market.

    Raises:
        SettingsError: its prices can't be played as described.
        DataError: a recording is damaged.
    """
    source = open_source(settings.market, settings.replay)
    if isinstance(settings.venue, DydxSettings):
        # A process has one venue, and need not load what only the other is made of.
        from simulated_venues.dydx.venue import DydxVenue

        return DydxVenue(source, settings.venue, ahead_ms=settings.ahead_ms)
    from simulated_venues.binance.venue import BinanceVenue

    return BinanceVenue(source, settings.venue, ahead_ms=settings.ahead_ms)


async def serve(settings: ProcessSettings, *, with_input: bool) -> None:
    """Run a venue until a signal, or the end of standard input.

    Args:
        settings: which one.
        with_input: whether it ends with standard input.

    Raises:
        SimulationError: it can't start.
    """
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    if with_input:
        loop.add_reader(sys.stdin.fileno(), _end_with_input, loop)
    venue = make_venue(settings)
    await venue.start()
    # Only now: while it starts there is nothing to close, and a signal ends it at once.
    for stop in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(stop, ended.set)
    print(msgspec.json.encode({"venue": venue.name, "pid": os.getpid(), **venue.addresses}).decode(), flush=True)
    scenario = asyncio.create_task(play(settings.scenario, venue.faults))
    await ended.wait()
    scenario.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await scenario
    await venue.stop()


def _end_with_input(loop: asyncio.AbstractEventLoop) -> None:
    """What comes in after the settings is ignored; the end of it is the end of whoever started us."""
    if not os.read(sys.stdin.fileno(), 1_024):
        loop.remove_reader(sys.stdin.fileno())
        signal.raise_signal(signal.SIGTERM)


def main() -> int:
    """Entry point; an error with a known cause is one line."""
    parser = argparse.ArgumentParser(prog="python -m simulated_venues.main", description=__doc__)
    parser.add_argument("venue", choices=VENUES)
    parser.add_argument("--settings", type=Path, required=True, help="A file of JSON; - reads a line of it from input.")
    given = parser.parse_args()
    with_input = given.settings == STANDARD_INPUT
    try:
        text = sys.stdin.buffer.readline() if with_input else _read(given.settings)
        uvloop.run(serve(read_settings(text, given.venue), with_input=with_input))
    except HeliosError as error:
        print(f"helios: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"settings of a venue: expected a file at {path}, found: {error.strerror}.") from None


if __name__ == "__main__":
    sys.exit(main())
