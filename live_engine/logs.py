"""What the engine and the watchdog say: one line of JSON an event, without secrets, and nobody waits for it.

A module logs through the standard library: `logger.info("order refused", extra={"correlation": "1234"})`.
`start_logs` decides where it goes. Events that belong together carry the same `correlation`: a client order id, or the
closing instant of the bar that was decided. A thread writes, so a reader that stands still never holds up trading; when
it stands still for long, events are dropped and counted.
"""

import json
import logging
import logging.handlers
import queue
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import IO

from live_engine.redaction import Redactor

WAITING_EVENTS = 20_000
"""Events that may wait for their reader; a minute's worth of a bad one."""

LAST_SECONDS = 5.0
"""For the reader to take the last lines."""

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""What every record of the standard library carries; anything else was given as `extra`."""

QUIET = ("aiohttp", "asyncio", "httpx", "httpcore", "urllib3", "dydx_v4_client", "grpc")
"""Libraries that are heard from their warnings on."""


@dataclass(slots=True)
class EventFormatter:
    """Turns a log record into a line.

    Attributes:
        process: `engine` or `watchdog`.
        common: fields of every line, such as the account.
        redactor: takes secrets out of every text, names of fields included.
    """

    process: str
    redactor: Redactor
    common: dict[str, object] = field(default_factory=dict)

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON, without a line break at its end."""
        fields: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "process": self.process,
            "event": _message(record),
            **self.common,
            "logger": record.name,
        }
        fields |= {name: value for name, value in vars(record).items() if name not in _OWN}
        if record.exc_info:
            fields["error"] = "".join(traceback.format_exception(*record.exc_info)).strip()
        return json.dumps(self.redactor.clean(fields), ensure_ascii=False, separators=(",", ":"))


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):
        # Arguments that do not fit their text: better both than an error about a log line.
        return f"{record.msg} {record.args}"


class _Queued(logging.handlers.QueueHandler):
    """Hands records to the writing thread as lines; full means dropped and counted."""

    def __init__(self, lines: "queue.Queue[str | None]", formatter: EventFormatter) -> None:
        super().__init__(lines)
        self._event_formatter = formatter
        self.dropped = 0

    def prepare(self, record: logging.LogRecord) -> str:
        return self._event_formatter.format(record)

    def enqueue(self, record: object) -> None:
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            self.dropped += 1


class _Writer(logging.handlers.QueueListener):
    """Writes lines; a reader that is gone ends it quietly, since the engine goes on without being read."""

    def __init__(self, lines: "queue.Queue[str | None]", stream: IO[str], dropped: Callable[[], int]) -> None:
        super().__init__(lines)
        self._lines: queue.Queue[str | None] = lines
        self._stream = stream
        self._dropped, self._told = dropped, 0

    def handle(self, record: object) -> None:
        with suppress(OSError, ValueError):
            self._stream.write(f"{record}\n")
            if (dropped := self._dropped()) > self._told:
                self._told = dropped
                self._stream.write(
                    json.dumps({"level": "warning", "event": "log events dropped", "dropped": dropped}) + "\n"
                )
            self._stream.flush()

    def stop(self) -> None:
        """Write what waits, unless the reader takes too long."""
        thread, self._thread = self._thread, None
        if thread is not None:
            with suppress(queue.Full):
                self._lines.put(None, timeout=LAST_SECONDS)
            thread.join(LAST_SECONDS)


@contextmanager
def start_logs(
    stream: IO[str], *, process: str, redactor: Redactor, common: Mapping[str, object] | None = None
) -> Iterator[EventFormatter]:
    """Send everything that is logged in this process to a stream, as lines of JSON, until the end of the block.

    Args:
        stream: usually standard error.
        process: `engine` or `watchdog`.
        redactor: knows the secrets of this process.
        common: fields of every line; more can be added later to `common` of what is yielded.
    """
    lines: queue.Queue[str | None] = queue.Queue(WAITING_EVENTS)
    formatter = EventFormatter(process=process, redactor=redactor, common=dict(common or {}))
    handler = _Queued(lines, formatter)
    writer = _Writer(lines, stream, lambda: handler.dropped)
    root, level = logging.getLogger(), logging.getLogger().level
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    root.setLevel(logging.INFO)
    root.addHandler(handler)
    writer.start()
    try:
        yield formatter
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        writer.stop()
