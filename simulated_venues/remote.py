"""The control endpoint of a running venue, from another program."""

from dataclasses import asdict, dataclass
from typing import Any, cast

import httpx

from helios_pipeline.core.errors import SimulationError
from simulated_venues.faults import Fault

TIMEOUT_SECONDS = 10.0
_JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class RemoteVenue:
    """A venue that runs elsewhere on this machine.

    Attributes:
        url: where its page is.
    """

    url: str

    def state(self) -> dict[str, Any]:
        """What it is doing: what its page shows."""
        return cast("dict[str, Any]", self._ask("GET", "/control/state"))

    def kinds(self) -> list[dict[str, str]]:
        """The faults it knows."""
        return cast("list[dict[str, str]]", self._ask("GET", "/control/kinds"))

    def faults(self) -> list[dict[str, Any]]:
        """The active faults."""
        return cast("list[dict[str, Any]]", self._ask("GET", "/control/faults"))

    def start(self, fault: Fault) -> int:
        """Start a fault; its number.

        Raises:
            SimulationError: the venue refuses it.
        """
        said = {key: value for key, value in asdict(fault).items() if value is not None}
        return int(self._ask("POST", "/control/faults", said)["number"])

    def stop(self, number: int) -> None:
        """End a fault.

        Raises:
            SimulationError: none of that number is active.
        """
        self._ask("DELETE", f"/control/faults/{number}")

    def stop_all(self) -> None:
        """End every fault."""
        self._ask("DELETE", "/control/faults")

    def _ask(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        try:
            # Loopback is asked directly, whatever proxy the environment names.
            with httpx.Client(trust_env=False, timeout=TIMEOUT_SECONDS) as client:
                answer = client.request(method, f"{self.url.rstrip('/')}{path}", json=body, headers=_JSON)
                said = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise SimulationError(
                f"simulated venue: expected one at {self.url} to answer, found: {str(error) or type(error).__name__}. "
                "`helios simulate` starts it."
            ) from None
        if answer.is_error:
            raise SimulationError(str(said.get("error", said)) if isinstance(said, dict) else str(said))
        return said
