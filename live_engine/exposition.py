"""Prometheus' text format, version 0.0.4 (Prometheus documentation, "Exposition formats")."""

import bisect
import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

DURATION_BOUNDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Upper bounds of a histogram of how long something took, in seconds."""

type Labels = dict[str, str]
type Sample = tuple[Labels, float | int | Decimal | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric: samples without a value are left out.

    Attributes:
        name: with its unit at the end.
        kind: of Prometheus.
        says: what it is, in a line.
        samples: labels and value of each.
    """

    name: str
    kind: Literal["gauge", "counter"]
    says: str
    samples: tuple[Sample, ...]

    def lines(self) -> Iterator[str]:
        """Its lines of exposition."""
        yield from _head(self.name, self.kind, self.says)
        for labels, value in self.samples:
            if value is not None:
                yield f"{self.name}{_labels(labels)} {_number(value)}"


@dataclass(slots=True)
class Histogram:
    """How long something took, counted in buckets; any thread may observe.

    Attributes:
        name: ends in `_seconds`.
        says: what it is, in a line.
        bounds: upper bounds, ascending.
    """

    name: str
    says: str
    bounds: Sequence[float] = DURATION_BOUNDS
    _counts: list[int] = field(init=False)
    _sum: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._counts = [0] * (len(self.bounds) + 1)

    def observe(self, seconds: float) -> None:
        """Count one."""
        with self._lock:
            self._counts[bisect.bisect_left(self.bounds, seconds)] += 1
            self._sum += seconds

    def lines(self) -> Iterator[str]:
        """Its lines of exposition."""
        with self._lock:
            counts, total = list(self._counts), self._sum
        yield from _head(self.name, "histogram", self.says)
        passed = 0
        for bound, count in zip((*map(_number, self.bounds), "+Inf"), counts, strict=True):
            passed += count
            yield f'{self.name}_bucket{{le="{bound}"}} {passed}'
        yield f"{self.name}_sum {_number(total)}"
        yield f"{self.name}_count {passed}"


def _head(name: str, kind: str, says: str) -> list[str]:
    return [f"# HELP {name} {says.replace('\\', '\\\\').replace('\n', '\\n')}", f"# TYPE {name} {kind}"]


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    escaped = {name: _escaped(value) for name, value in labels.items()}
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float | Decimal) -> str:
    """Prometheus' numbers are doubles."""
    number = float(value)
    if not math.isfinite(number):
        return "NaN" if math.isnan(number) else "+Inf" if number > 0 else "-Inf"
    return repr(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)
