"""`POST /control/deposit`: gives an account USDC from outside, in the next block."""

import msgspec
from aiohttp import web

from simulated_venues.control import own_route
from simulated_venues.dydx.chain import Chain
from simulated_venues.dydx.records import SubaccountId
from simulated_venues.dydx.transactions import is_address
from simulated_venues.dydx.transfers import MAX_SUBACCOUNT_NUMBER

MAX_USDC = 1_000_000_000_000


class DepositRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked for: whole USDC to a subaccount."""

    address: str
    usdc: int
    number: int = 0

    @property
    def problem(self) -> str | None:
        """Why it can't be given."""
        if not is_address(self.address):
            return f"deposit: expected a dydx address, found {self.address!r}."
        if not 0 <= self.number <= MAX_SUBACCOUNT_NUMBER:
            return f"deposit: expected a number from 0 to {MAX_SUBACCOUNT_NUMBER}, found {self.number}."
        if not 0 < self.usdc <= MAX_USDC:
            return f"deposit: expected 1 to {MAX_USDC} USDC, found {self.usdc}."
        return None


def faucet_route(chain: Chain) -> web.RouteDef:
    """The route; it answers 202 with the height of the block that will have the deposit."""

    async def deposit(request: web.Request) -> web.StreamResponse:
        try:
            asked = msgspec.json.decode(await request.read(), type=DepositRequest)
        except msgspec.MsgspecError as error:
            return web.json_response(
                {"error": f"deposit: expected JSON like {{'address': 'dydx1…', 'usdc': 1000}}, found: {error}."},
                status=400,
            )
        if asked.problem is not None:
            return web.json_response({"error": asked.problem}, status=400)
        chain.deposit(SubaccountId(owner=asked.address, number=asked.number), asked.usdc)
        return web.json_response({"height": chain.last_block.height + 1}, status=202)

    return own_route("/control/deposit", deposit)
