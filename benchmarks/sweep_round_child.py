"""The measured process of sweep_round.py: it imports what `helios sweep` does and no more."""

import importlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

TIMED = (
    ("helios_pipeline.cli.research", "open_database", "database opened"),
    ("helios_pipeline.definitions", "build_research", "adapters built"),
    ("helios_pipeline.cli.dagster", "open_instance", "Dagster's instance opened"),
    ("jobs.research", "end_abandoned_runs", "abandoned runs looked for"),
    ("assets.round_run", "load_inputs", "market data loaded"),
    ("assets.round_run", "iter_chunks", "chunks evaluated"),
    ("assets.round_run", "judge_round", "round judged"),
    ("assets.sweep", "store_round", "round stored"),
    ("assets.sweep", "_pictures", "pictures drawn"),
    ("dagster", "materialize", "asset materialized"),
)
"""Functions of the child whose begin and end are noted."""


class Spans:
    """What is noted: label, seconds since this process was started at begin and end, processor seconds in between."""

    def __init__(self, born: float) -> None:
        self.noted: list[tuple[str, float, float, float]] = []
        self._born = born

    @staticmethod
    def now() -> tuple[float, float]:
        return time.time(), time.process_time()

    def note(self, label: str, began: tuple[float, float]) -> None:
        ended = self.now()
        self.noted.append((label, began[0] - self._born, ended[0] - self._born, ended[1] - began[1]))

    def since_birth(self, label: str) -> None:
        self.note(label, (self._born, 0.0))


def main(report: Path, born: float, options: Sequence[str]) -> None:
    """In the measured process: run the command and note when its parts began and ended."""
    spans = Spans(born)
    spans.since_birth("process started")
    began = spans.now()
    from helios_pipeline.cli import ahead
    from helios_pipeline.cli.commands import app

    spans.note("command line imported", began)
    started = ahead.compile_ahead

    def start_and_import(markets: int) -> None:
        started(markets)
        note_parts(spans)

    if "--cluster" in options:
        note_parts(spans)
    else:
        # The compiler is started before anything else is imported, as without this program around it.
        ahead.compile_ahead = start_and_import
    try:
        app(["sweep", *options], standalone_mode=False)
    finally:
        spans.since_birth("everything")
        used = [psutil.Process().cpu_times(), *(child.cpu_times() for child in psutil.Process().children())]
        processor = sum(each.user + each.system + each.children_user + each.children_system for each in used)
        ordered = sorted(spans.noted, key=lambda span: span[2])
        report.write_text(json.dumps({"spans": ordered, "processor": processor}))


def note_parts(spans: Spans) -> None:
    """Import the rest of what the command imports, and note from now on when its parts begin and end."""
    began = spans.now()
    for module, _, _ in TIMED:
        importlib.import_module(module)
    spans.note("modules imported", began)
    for module, name, label in TIMED:
        setattr(sys.modules[module], name, noted(getattr(sys.modules[module], name), label, spans))


def noted(function: Callable[..., Any], label: str, spans: Spans) -> Any:
    """A function, context manager or generator that notes when it began and ended."""

    def timed(*args: Any, **kwargs: Any) -> Any:
        began = spans.now()
        found = function(*args, **kwargs)
        if hasattr(found, "__enter__"):
            return entered(found, began)
        if hasattr(found, "__next__"):
            return followed(found, began)
        spans.note(label, began)
        return found

    @contextmanager
    def entered(manager: Any, began: tuple[float, float]) -> Iterator[Any]:
        with manager as given:
            spans.note(label, began)
            yield given

    def followed(items: Iterator[Any], began: tuple[float, float]) -> Iterator[Any]:
        for number, item in enumerate(items):
            if number == 0:
                spans.note(f"{label}: the first", began)
            yield item
        spans.note(label, began)

    return timed


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])
