"""Log lines: one a record, JSON, with what belongs together told apart, and nobody waits for the reader."""

import io
import json
import logging
import os
import threading
import time
from contextlib import suppress

from live_engine import logs
from live_engine.logs import EventFormatter, start_logs
from live_engine.redaction import Redactor

LOGGER = logging.getLogger("live_engine.tests")


def lines_of(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_line_with_its_time_level_fields_and_correlation():
    stream = io.StringIO()
    with start_logs(stream, process="engine", redactor=Redactor(), common={"account": "DYDX-paper"}) as formatter:
        LOGGER.info("order refused\nby the gate", extra={"correlation": "1234", "gates": ("band", "rate")})
        formatter.common["epoch"] = 4
        LOGGER.warning("%s of %s", 1, 2)

    first, second = lines_of(stream)
    assert first.pop("at").endswith("+00:00")
    assert first == {
        "level": "info",
        "process": "engine",
        "event": "order refused\nby the gate",
        "account": "DYDX-paper",
        "logger": "live_engine.tests",
        "correlation": "1234",
        "gates": ["band", "rate"],
    }
    assert (second["event"], second["level"], second["epoch"]) == ("1 of 2", "warning", 4)


def test_a_number_that_json_has_no_word_for_and_arguments_that_do_not_fit_are_logged_all_the_same():
    record = logging.makeLogRecord({"msg": "slow %d", "args": ("not a number",), "seconds": float("inf")})

    line = json.loads(EventFormatter(process="engine", redactor=Redactor()).format(record))

    assert line["event"] == "slow %d ('not a number',)"
    assert line["seconds"] == "inf"


def test_after_the_block_nothing_is_written_and_the_root_logger_is_as_it_was():
    stream = io.StringIO()
    before = list(logging.getLogger().handlers)
    with start_logs(stream, process="engine", redactor=Redactor()):
        pass
    LOGGER.error("too late")

    assert stream.getvalue() == ""
    assert logging.getLogger().handlers == before


def test_a_reader_that_stands_still_holds_nobody_up_and_what_was_dropped_is_counted(monkeypatch):
    monkeypatch.setattr(logs, "WAITING_EVENTS", 100)
    inlet, outlet = os.pipe()
    said = []

    def read():
        with os.fdopen(inlet) as lines:
            said.extend(lines)

    reader = threading.Thread(target=read)
    with os.fdopen(outlet, "w") as stream, start_logs(stream, process="engine", redactor=Redactor()):
        began = time.monotonic()
        for number in range(2_000):  # more than pipe and queue hold together
            LOGGER.info("event %d", number, extra={"padding": "x" * 500})
        took = time.monotonic() - began
        reader.start()
    reader.join()

    assert took < 5.0
    events = [json.loads(line) for line in said]
    dropped = [each["dropped"] for each in events if each["event"] == "log events dropped"]
    assert len(events) - len(dropped) + dropped[-1] == 2_000
    assert dropped[-1] > 0


def test_a_reader_that_is_gone_is_no_error(recwarn):
    inlet, outlet = os.pipe()
    os.close(inlet)
    stream = os.fdopen(outlet, "w")
    with start_logs(stream, process="engine", redactor=Redactor()):
        LOGGER.info("nobody listens")
    with suppress(BrokenPipeError):
        stream.close()

    assert not recwarn.list
