"""The validator over HTTP, for clients that do not speak gRPC: CometBFT's RPC and the REST of cosmos-sdk, in part.

On the venue these are two other hosts; here they are paths beside the indexer's. Forms: CometBFT 0.38, `openapi.yaml`
(`abci_info`, `broadcast_tx_*`, `tx`); cosmos-sdk 0.50, `cosmos.auth.v1beta1.Query/AccountInfo`.
"""

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from simulated_venues.dydx.chain import Chain
from simulated_venues.dydx.documents import Json
from simulated_venues.dydx.transactions import is_address, transaction_hash


@dataclass(frozen=True, slots=True)
class Gateway:
    """Answers out of the chain."""

    chain: Chain

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint."""
        answers: dict[str, Callable[[web.Request], Json]] = {
            "/abci_info": self._info,
            "/broadcast_tx_sync": self._broadcast,
            "/broadcast_tx_async": self._broadcast_later,
            "/tx": self._transaction,
        }
        return [
            *(web.get(path, _rpc(answer)) for path, answer in answers.items()),
            web.get("/cosmos/auth/v1beta1/account_info/{address}", self._account),
        ]

    def _info(self, request: web.Request) -> Json:
        del request
        height = str(self.chain.last_block.height)
        return {"response": {"data": "dydxprotocol", "version": "9.2.0", "last_block_height": height}}

    def _broadcast(self, request: web.Request) -> Json:
        checked = self.chain.broadcast(_bytes(request, "tx"))
        return {
            "code": checked.code,
            "data": "",
            "log": checked.log or "[]",
            "codespace": checked.codespace,
            "hash": checked.hash,
        }

    def _broadcast_later(self, request: web.Request) -> Json:
        raw = _bytes(request, "tx")
        asyncio.get_running_loop().call_soon(self.chain.broadcast, raw)
        return {"code": 0, "data": "", "log": "", "codespace": "", "hash": transaction_hash(raw)}

    def _transaction(self, request: web.Request) -> Json:
        name = _bytes(request, "hash").hex().upper()
        found = self.chain.store.result(name)
        if found is None:
            raise ValueError(f"tx ({name}) not found")
        result = {"code": found.code, "log": found.log, "codespace": found.codespace, "gas_used": str(found.gas_used)}
        return {
            "hash": name,
            "height": str(found.moment.height),
            "tx_result": result,
            "tx": base64.b64encode(found.raw).decode(),
        }

    async def _account(self, request: web.Request) -> web.Response:
        address = request.match_info["address"]
        if not is_address(address):
            return web.json_response({"code": 3, "message": "decoding bech32 failed", "details": []}, status=400)
        signer = self.chain.open_account(address)
        key = base64.b64encode(signer.public_key).decode() if signer.public_key else None
        info = {
            "address": address,
            "pub_key": key and {"@type": "/cosmos.crypto.secp256k1.PubKey", "key": key},
            "account_number": str(signer.number),
            "sequence": str(signer.sequence),
        }
        return web.json_response({"info": info})


def _rpc(answer: Callable[[web.Request], Json]) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A JSON-RPC answer; an error is one too."""

    async def handle(request: web.Request) -> web.Response:
        try:
            return web.json_response({"jsonrpc": "2.0", "id": -1, "result": answer(request)})
        except ValueError as error:
            body = {"code": -32_603, "message": "Internal error", "data": str(error)}
            return web.json_response({"jsonrpc": "2.0", "id": -1, "error": body}, status=500)

    return handle


def _bytes(request: web.Request, name: str) -> bytes:
    """Bytes of a parameter: hexadecimal after `0x`, as a URI of CometBFT has them."""
    text = request.query.get(name, "").strip('"')
    try:
        return binascii.unhexlify(text.removeprefix("0x"))
    except binascii.Error as error:
        raise ValueError(f"{name}: expected hexadecimal digits after 0x, found {text[:20]!r}") from error
