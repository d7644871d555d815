"""What every table of `helios.toml` is, and the numbers that tables share."""

from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

InstrumentId = Annotated[str, Field(pattern=r"^[A-Z0-9]+-PERP\.[A-Z]+$")]
Positive = Annotated[Decimal, Field(gt=0)]
NotNegative = Annotated[Decimal, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Port = Annotated[int, Field(ge=0, le=65_535)]


class Section(BaseModel):
    """A table of the file: unknown keys are errors, values don't change after loading."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
