"""A round as a file that a person reads, edits and runs: its grid and its search, as tables of `helios.toml`."""

from collections.abc import Mapping
from dataclasses import dataclass

from helios_pipeline.core.errors import SettingsError
from helios_pipeline.sweep.grid import PARAMETER_NAMES, Grid
from helios_pipeline.sweep.search import Search

TABLES = {"grid": PARAMETER_NAMES, "search": ("sampler", "sets", "seed")}
"""What such a file may hold: table → its keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A round that may be run next.

    Attributes:
        after: the round that it is proposed from.
        grid: its points, or the region to sample.
        search: how its sets are chosen.
        reason: why the search goes on here.
        axes: parameter → why its values are these.
    """

    after: str
    grid: Grid
    search: Search
    reason: str
    axes: Mapping[str, str]

    @property
    def sets(self) -> int:
        """How many sets it would evaluate."""
        return self.search.sets if self.search.sampled else self.grid.size


def proposal_text(proposal: Proposal) -> str:
    """The file: TOML with the reasons as comments.

    Whoever edits it changes the round; `tables_of` reads it again.
    """
    search = proposal.search
    lines = [
        f"# After {proposal.after}: {proposal.reason}.",
        f"# {proposal.sets:,} sets. Edit any value, then: helios sweep --grid THIS_FILE",
        "",
        "[grid]",
        *(
            f"{name} = [{', '.join(map(_number, getattr(proposal.grid, name)))}]    # {proposal.axes[name]}"
            for name in PARAMETER_NAMES
        ),
        "",
        "[search]",
        f'sampler = "{search.sampler}"',
        f"sets = {search.sets}    # of a round that is not a grid",
        f"seed = {search.seed}",
    ]
    return "\n".join(lines) + "\n"


def tables_of(document: Mapping[str, object], where: str) -> dict[tuple[str, str], object]:
    """(table, key) → value of such a file, parsed; values are judged as those of `helios.toml` are.

    Args:
        document: the file's tables. `[search]` may be left out, then that of `helios.toml` holds.
        where: the file's name, for errors.

    Raises:
        SettingsError: there is no complete `[grid]`, or something that does not belong here.
    """
    unknown = sorted(set(document) - set(TABLES))
    if unknown or not isinstance(document.get("grid"), Mapping):
        raise SettingsError(
            f"{where}: expected a table [grid] and maybe [search], found {sorted(document) or 'nothing'}. "
            "`helios rounds write` makes such a file; everything else is set in helios.toml."
        )
    found: dict[tuple[str, str], object] = {}
    for table, keys in TABLES.items():
        values = document.get(table, {})
        if not isinstance(values, Mapping) or (values and set(values) != set(keys)):
            given = sorted(values) if isinstance(values, Mapping) else values
            raise SettingsError(f"{where}: expected in [{table}] exactly {list(keys)}, found {given}.")
        found |= {(table, key): value for key, value in values.items()}
    return found


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else repr(float(value))
