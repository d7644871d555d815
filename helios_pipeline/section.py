"""What every table of `helios.toml` is, and the numbers that tables share."""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def like(example: str, pattern: str) -> Callable[[str], str]:
    """A check that a text has a form, which is told by an example."""
    form = re.compile(pattern)

    def check(value: str) -> str:
        if not form.fullmatch(value):
            raise ValueError(f"expected an id like {example}, found {value!r}")
        return value

    return check


InstrumentId = Annotated[str, AfterValidator(like("BTCUSDT-PERP.BINANCE", r"[A-Z0-9]+-PERP\.[A-Z]+"))]
Positive = Annotated[Decimal, Field(gt=0)]
NotNegative = Annotated[Decimal, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Port = Annotated[int, Field(ge=0, le=65_535)]


class Section(BaseModel):
    """A table of the file: unknown keys are errors, values don't change after loading."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
