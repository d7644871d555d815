"""The validator's gRPC services, in plain text: accounts, blocks, transactions, and the queries of `queries.py`."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp
from v4_proto.cosmos.auth.v1beta1.auth_pb2 import BaseAccount
from v4_proto.cosmos.auth.v1beta1.query_pb2 import QueryAccountResponse
from v4_proto.cosmos.base.abci.v1beta1.abci_pb2 import GasInfo, Result, TxResponse
from v4_proto.cosmos.base.tendermint.v1beta1 import query_pb2 as tendermint
from v4_proto.cosmos.base.tendermint.v1beta1.types_pb2 import Block as SdkBlock
from v4_proto.cosmos.base.tendermint.v1beta1.types_pb2 import Header as SdkHeader
from v4_proto.cosmos.tx.v1beta1.service_pb2 import (
    BROADCAST_MODE_ASYNC,
    BroadcastTxResponse,
    GetTxResponse,
    SimulateResponse,
)
from v4_proto.cosmos.tx.v1beta1.tx_pb2 import Tx
from v4_proto.tendermint.p2p.types_pb2 import DefaultNodeInfo
from v4_proto.tendermint.types.block_pb2 import Block
from v4_proto.tendermint.types.types_pb2 import BlockID, Header

from helios_pipeline.core.errors import SimulationError
from simulated_venues.clock import iso
from simulated_venues.dydx.chain import Chain
from simulated_venues.dydx.queries import NotFoundError, query_answers
from simulated_venues.dydx.records import Moment
from simulated_venues.dydx.refusals import Refused
from simulated_venues.dydx.transactions import is_address
from simulated_venues.site import LOOPBACK

Answer = Callable[[Any], Message]
"""From a request to its answer; raises `NotFoundError`, `Refused` or `ValueError`."""

STOP_SECONDS = 0.2
_PROTOCOL_VERSION = "9.2"
_SDK_VERSION = "v0.50.13"
_SERVICES = {
    "cosmos.auth.v1beta1.Query": "v4_proto.cosmos.auth.v1beta1.query_pb2",
    "cosmos.bank.v1beta1.Query": "v4_proto.cosmos.bank.v1beta1.query_pb2",
    "cosmos.base.tendermint.v1beta1.Service": "v4_proto.cosmos.base.tendermint.v1beta1.query_pb2",
    "cosmos.tx.v1beta1.Service": "v4_proto.cosmos.tx.v1beta1.service_pb2",
    "dydxprotocol.blocktime.Query": "v4_proto.dydxprotocol.blocktime.query_pb2",
    "dydxprotocol.clob.Query": "v4_proto.dydxprotocol.clob.query_pb2",
    "dydxprotocol.feetiers.Query": "v4_proto.dydxprotocol.feetiers.query_pb2",
    "dydxprotocol.perpetuals.Query": "v4_proto.dydxprotocol.perpetuals.query_pb2",
    "dydxprotocol.prices.Query": "v4_proto.dydxprotocol.prices.query_pb2",
    "dydxprotocol.stats.Query": "v4_proto.dydxprotocol.stats.query_pb2",
    "dydxprotocol.subaccounts.Query": "v4_proto.dydxprotocol.subaccounts.query_pb2",
}


@dataclass(slots=True)
class Node:
    """A gRPC server on loopback from `start` to `stop`; it may start again on the same port.

    Attributes:
        port: to listen on; 0 lets the system choose at the first start, and keeps its choice.
    """

    chain: Chain
    port: int
    _server: grpc.aio.Server | None = field(default=None)

    @property
    def target(self) -> str:
        """Where it listens, as gRPC clients name it."""
        return f"{LOOPBACK}:{self.port}"

    async def start(self) -> None:
        """Listen.

        Raises:
            SimulationError: the port is taken.
        """
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        server.add_generic_rpc_handlers(_handlers({**_answers(self.chain), **query_answers(self.chain)}))
        try:
            self.port = server.add_insecure_port(f"{LOOPBACK}:{self.port}")
        except RuntimeError as error:
            raise SimulationError(
                f"simulated dYdX: expected port {self.port} of {LOOPBACK} to be free for gRPC, found it taken. "
                "Stop what listens there, or choose another port."
            ) from error
        await server.start()
        self._server = server

    async def stop(self) -> None:
        """Stop listening and end every call."""
        if self._server is not None:
            await self._server.stop(STOP_SECONDS)
            self._server = None


def _handlers(answers: Mapping[str, Answer]) -> tuple[grpc.GenericRpcHandler, ...]:
    """Handlers of the methods that have an answer; gRPC itself answers UNIMPLEMENTED for the others."""
    by_service: dict[str, dict[str, Any]] = {}
    for path, answer in answers.items():
        service, name = path.split("/")
        method = import_module(_SERVICES[service]).DESCRIPTOR.services_by_name[service.rsplit(".", 1)[1]]
        by_service.setdefault(service, {})[name] = _handler(method.methods_by_name[name], answer)
    return tuple(grpc.method_handlers_generic_handler(*each) for each in by_service.items())


def _handler(method: MethodDescriptor, answer: Answer) -> grpc.RpcMethodHandler:
    async def respond(request: Message, context: grpc.aio.ServicerContext[Any, Any]) -> Message:
        try:
            return answer(request)
        except NotFoundError as error:
            return await _abort(context, grpc.StatusCode.NOT_FOUND, str(error))
        except ValueError as error:
            return await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except Refused as error:
            return await _abort(context, grpc.StatusCode.UNKNOWN, error.log)

    return grpc.unary_unary_rpc_method_handler(
        respond,
        request_deserializer=GetMessageClass(method.input_type).FromString,
        response_serializer=GetMessageClass(method.output_type).SerializeToString,
    )


async def _abort(context: Any, code: grpc.StatusCode, details: str) -> Message:  # noqa: ANN401 - untyped library
    aborted: Awaitable[Message] = context.abort(code, details)
    return await aborted


def _answers(chain: Chain) -> dict[str, Answer]:
    return {
        "cosmos.auth.v1beta1.Query/Account": lambda request: _account(chain, request.address),
        "cosmos.base.tendermint.v1beta1.Service/GetLatestBlock": lambda _: _latest_block(chain),
        "cosmos.base.tendermint.v1beta1.Service/GetBlockByHeight": lambda request: _block(chain, request.height),
        "cosmos.base.tendermint.v1beta1.Service/GetNodeInfo": lambda _: _node_info(chain),
        "cosmos.base.tendermint.v1beta1.Service/GetSyncing": lambda _: tendermint.GetSyncingResponse(syncing=False),
        "cosmos.tx.v1beta1.Service/BroadcastTx": lambda request: _broadcast(chain, request),
        "cosmos.tx.v1beta1.Service/Simulate": lambda request: _simulate(chain, request),
        "cosmos.tx.v1beta1.Service/GetTx": lambda request: _transaction(chain, request.hash),
    }


def _account(chain: Chain, address: str) -> Message:
    if not is_address(address):
        raise ValueError(f"decoding bech32 failed: {address!r}")
    signer = chain.open_account(address)
    account = BaseAccount(address=address, account_number=signer.number, sequence=signer.sequence)
    return QueryAccountResponse(account=_packed(account))


def _latest_block(chain: Chain) -> Message:
    parts = _block_parts(chain.settings.chain_id, chain.last_block)
    return tendermint.GetLatestBlockResponse(**parts)


def _block(chain: Chain, height: int) -> Message:
    last = chain.last_block
    if height > last.height:
        raise ValueError(f"requested block height is bigger then the chain length: {height} > {last.height}")
    moment = chain.store.block(height)
    if moment is None:
        raise NotFoundError(f"block {height} not found")
    return tendermint.GetBlockByHeightResponse(**_block_parts(chain.settings.chain_id, moment))


def _block_parts(chain_id: str, moment: Moment) -> dict[str, Message]:
    names = {"chain_id": chain_id, "height": moment.height, "time": _timestamp(moment.at_ms)}
    digest = hashlib.sha256(f"{chain_id}/{moment.height}/{moment.at_ms}".encode()).digest()
    return {
        "block_id": BlockID(hash=digest),
        "block": Block(header=Header(**names)),
        "sdk_block": SdkBlock(header=SdkHeader(**names)),
    }


def _node_info(chain: Chain) -> Message:
    return tendermint.GetNodeInfoResponse(
        default_node_info=DefaultNodeInfo(network=chain.settings.chain_id, moniker="simulated"),
        application_version=tendermint.VersionInfo(
            name="dydxprotocol",
            app_name="dydxprotocold",
            version=_PROTOCOL_VERSION,
            cosmos_sdk_version=_SDK_VERSION,
        ),
    )


def _broadcast(chain: Chain, request: Any) -> Message:  # noqa: ANN401 - messages carry no types
    if not request.tx_bytes:
        raise ValueError("invalid empty tx")
    if request.mode == BROADCAST_MODE_ASYNC:
        asyncio.get_running_loop().call_soon(chain.broadcast, request.tx_bytes)
        return BroadcastTxResponse(tx_response=TxResponse(txhash=hashlib.sha256(request.tx_bytes).hexdigest().upper()))
    checked = chain.broadcast(request.tx_bytes)
    return BroadcastTxResponse(
        tx_response=TxResponse(txhash=checked.hash, code=checked.code, codespace=checked.codespace, raw_log=checked.log)
    )


def _simulate(chain: Chain, request: Any) -> Message:  # noqa: ANN401 - messages carry no types
    raw = request.tx_bytes or request.tx.SerializeToString()
    if not raw:
        raise ValueError("empty txBytes is not allowed")
    gas = chain.simulate(raw)
    return SimulateResponse(gas_info=GasInfo(gas_wanted=gas, gas_used=gas), result=Result())


def _transaction(chain: Chain, name: str) -> Message:
    found = chain.store.result(name.upper())
    if found is None:
        raise NotFoundError(f"tx not found: {name}")
    try:
        transaction = Tx.FromString(found.raw)
    except DecodeError as error:
        raise NotFoundError(f"tx not found: {name}") from error
    return GetTxResponse(
        tx=transaction,
        tx_response=TxResponse(
            height=found.moment.height,
            txhash=name.upper(),
            codespace=found.codespace,
            code=found.code,
            raw_log=found.log,
            gas_wanted=transaction.auth_info.fee.gas_limit,
            gas_used=found.gas_used,
            tx=_packed(transaction),
            timestamp=iso(found.moment.at_ms)[:-5] + "Z",
        ),
    )


def _packed(message: Message) -> AnyMessage:
    """As cosmos-sdk packs: the type URL has no host."""
    packed = AnyMessage()
    packed.Pack(message, type_url_prefix="/")
    return packed


def _timestamp(at_ms: int) -> Timestamp:
    return Timestamp(seconds=at_ms // 1_000, nanos=at_ms % 1_000 * 1_000_000)
