"""Parameters of a request to the indexer, and its errors when they are wrong."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from simulated_venues.dydx.documents import Json
from simulated_venues.dydx.records import SubaccountId

MOST_RESULTS = 1_000
MOST_SUBACCOUNT = 128_000


class RequestError(Exception):
    """A request that the indexer answers by an error.

    Attributes:
        status: of HTTP.
        body: `{"errors": [...]}`.
    """

    def __init__(self, status: int, message: str, parameter: str = "", location: str = "query") -> None:
        super().__init__(message)
        error: Json = {"msg": message}
        if parameter:
            error |= {"param": parameter, "location": location}
        self.status = status
        self.body: Json = {"errors": [error]}


@dataclass(frozen=True, slots=True)
class Query:
    """Parameters in the path and behind the question mark."""

    path: Mapping[str, str]
    query: Mapping[str, str]

    def text(self, name: str) -> str | None:
        """A parameter; None if it is absent or empty."""
        return self.path.get(name) or self.query.get(name) or None

    def required(self, name: str) -> str:
        """A parameter that must be there."""
        value = self.text(name)
        if value is None:
            raise self.wrong(name, f"{name} is required")
        return value

    def number(self, name: str, *, least: int = 0, most: int = 2**63) -> int | None:
        """A whole number."""
        value = self.text(name)
        if value is None:
            return None
        if not value.isdecimal() or not least <= int(value) <= most:
            bounds = f" between {least} and {most}" if most < 2**63 else f" of {least} or more"
            raise self.wrong(name, f"{name} must be a whole number{bounds}")
        return int(value)

    def limit(self, most: int = MOST_RESULTS) -> int:
        """How many results are wanted at most."""
        value = self.number("limit", least=1, most=most)
        return most if value is None else value

    def instant_ms(self, *names: str) -> int | None:
        """The first of some ISO 8601 instants that is given, milliseconds since 1970."""
        for name in names:
            value = self.text(name)
            if value is not None:
                try:
                    instant = datetime.fromisoformat(value)
                except ValueError:
                    raise self.wrong(name, f"{name} must be a valid ISO 8601 date") from None
                return round((instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp() * 1_000)
        return None

    def among(self, name: str, allowed: Collection[str]) -> str | None:
        """One of some words."""
        value = self.text(name)
        if value is not None and value not in allowed:
            raise self.wrong(name, f"{name} must be one of {', '.join(allowed)}")
        return value

    def several(self, name: str, allowed: Collection[str]) -> set[str]:
        """Some of some words, with commas between them; empty if none is given."""
        words = set((self.text(name) or "").split(",")) - {""}
        if not words <= set(allowed):
            raise self.wrong(name, f"{name} must be among {', '.join(allowed)}")
        return words

    def subaccount(self, name: str = "subaccountNumber", address: str = "address") -> SubaccountId:
        """An address and a number."""
        owner = self.required(address)
        number = self.number(name, most=MOST_SUBACCOUNT)
        if number is None:
            raise self.wrong(name, f"{name} must be a non-negative integer less than {MOST_SUBACCOUNT + 1}")
        return SubaccountId(owner=owner, number=number)

    def wrong(self, name: str, message: str) -> RequestError:
        """The error of a parameter."""
        return RequestError(400, message, name, "params" if name in self.path else "query")
