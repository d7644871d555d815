"""A round's results while it runs: each finished chunk in a file of its own, so a round that was killed goes on."""

import numpy as np
import polars as pl

from helios_pipeline.adapters.lake.store import Lake
from helios_pipeline.core.errors import DataError
from helios_pipeline.core.version import content_version
from helios_pipeline.simulation.kernel import Evaluation
from helios_pipeline.simulation.summary import BLOCKS

_ASSET = "sweep_chunks"


class SweepChunks:
    """The chunks of one round that are finished.

    Args:
        lake: where they are kept until the round is stored.
        name: of the round.
        version: of everything that goes into the round and decides what a chunk holds; chunks of another are not there.
    """

    def __init__(self, lake: Lake, name: str, version: str) -> None:
        self._lake, self._asset, self._version = lake, f"{_ASSET}/{name}", content_version(_ASSET, "1", sweep=version)

    def load(self, number: int) -> Evaluation | None:
        """A chunk as it was stored; None if it has to be evaluated, for it was not or its file is damaged."""
        name = _name(number)
        try:
            if self._lake.version_named(self._asset, name) != self._version:
                return None
            frame = self._lake.read_named(self._asset, name)
        except DataError:
            return None
        return Evaluation(rows=frame["rows"].to_numpy(), blocks=blocks_of(frame))

    def store(self, number: int, evaluation: Evaluation) -> None:
        """Keep a finished chunk: whole and on disk when this returns."""
        frame = pl.DataFrame({"rows": evaluation.rows, "blocks": block_column(evaluation.blocks)})
        self._lake.replace_named(self._asset, _name(number), frame, version=self._version, facts={})

    def remove(self) -> None:
        """Remove all of them: the round is stored."""
        self._lake.remove_all(self._asset)


def block_column(blocks: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> pl.Series:
    """Blocks of days as a column: 48 numbers a set."""
    return pl.Series("blocks", blocks.reshape(len(blocks), BLOCKS * 3))


def blocks_of(frame: pl.DataFrame) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """float64[sets, 16, 3] of a frame's column `blocks`."""
    return frame["blocks"].to_numpy().reshape(frame.height, BLOCKS, 3)


def _name(number: int) -> str:
    return f"{number:06}"
