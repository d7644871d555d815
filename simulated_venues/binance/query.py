"""A request's parameters, read as the venue reads them, and its refusals in the venue's words."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus


class Refusal(Exception):
    """The venue answers with an error.

    Args:
        code: Binance's, negative.
        message: what it says.
        status: of HTTP.
    """

    def __init__(self, code: int, message: str, status: int = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(message)
        self.code, self.status = code, status

    def body(self) -> dict[str, object]:
        """The answer's JSON."""
        return {"code": self.code, "msg": str(self)}


LATEST_MS = 10**14
"""No time may be later, in milliseconds: in microseconds and nanoseconds every one of our days would be."""


def not_valid(name: str) -> Refusal:
    """The refusal of a value that a parameter does not take."""
    return Refusal(-1130, f"Data sent for parameter '{name}' is not valid.")


def nothing_yet() -> Refusal:
    """The refusal to tell of an instrument what is not known of it: a recording may begin or stop without it."""
    return Refusal(-4108, "Symbol is on delivering or delivered or settling or closed or pre-trading.")


@dataclass(frozen=True, slots=True)
class Query:
    """The parameters of a request by name."""

    values: Mapping[str, str]

    def text(self, name: str) -> str | None:
        """A parameter; None if it is missing or empty."""
        return self.values.get(name) or None

    def required(self, name: str) -> str:
        """A parameter that has to be there.

        Raises:
            Refusal: it is not.
        """
        value = self.text(name)
        if value is None:
            raise Refusal(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
        return value

    def whole(self, name: str) -> int | None:
        """A whole number of up to 20 digits, None if it was not sent.

        Raises:
            Refusal: it is something else.
        """
        value = self.text(name)
        if value is None:
            return None
        if not (value.isascii() and value.isdigit() and len(value) <= 20):
            raise Refusal(-1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'.")
        return int(value)

    def limit(self, *, usual: int, most: int) -> int:
        """How many elements are wanted.

        Raises:
            Refusal: none, or more than the endpoint gives.
        """
        limit = self.whole("limit")
        if limit is None:
            return usual
        if not 1 <= limit <= most:
            raise not_valid("limit")
        return limit

    def span(self) -> tuple[int | None, int | None]:
        """`startTime` and `endTime`, milliseconds since 1970, both included.

        Raises:
            Refusal: the end lies before the start, or one of them is not in milliseconds.
        """
        first, last = self._time("startTime"), self._time("endTime")
        if first is not None and last is not None and first > last:
            raise Refusal(-1023, "Start time is greater than end time.")
        return first, last

    def _time(self, name: str) -> int | None:
        at_ms = self.whole(name)
        if at_ms is not None and at_ms > LATEST_MS:
            raise not_valid(name)
        return at_ms
