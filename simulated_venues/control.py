"""The control endpoint of a venue, by which a person or a test makes it misbehave, and its page."""

import msgspec
from aiohttp import web

from helios_pipeline.core.errors import SimulationError
from simulated_venues.faults import Fault
from simulated_venues.venue import Venue


def control_routes(venue: Venue) -> list[web.RouteDef]:
    """Routes of the control endpoint.

    `GET /control/state`: what the venue does. `GET /control/faults`: the active faults. `POST /control/faults` with a
    fault as JSON: starts it and answers its number. `DELETE /control/faults/{number}` and `DELETE /control/faults` end
    one and all.
    """

    async def state(_request: web.Request) -> web.Response:
        return _json(venue.describe())

    async def faults(_request: web.Request) -> web.Response:
        return _json(venue.faults.describe())

    async def start(request: web.Request) -> web.Response:
        try:
            number = venue.faults.start(msgspec.json.decode(await request.read(), type=Fault))
        except (msgspec.DecodeError, SimulationError) as error:
            return _json({"error": str(error)}, status=400)
        return _json({"number": number}, status=201)

    async def stop(request: web.Request) -> web.Response:
        if not venue.faults.stop(int(request.match_info["number"])):
            return _json({"error": f"fault {request.match_info['number']}: it is over, or never was."}, status=404)
        return _json({})

    async def stop_all(_request: web.Request) -> web.Response:
        venue.faults.stop_all()
        return _json({})

    return [
        web.get("/control/state", state),
        web.get("/control/faults", faults),
        web.post("/control/faults", start),
        web.delete(r"/control/faults/{number:\d+}", stop),
        web.delete("/control/faults", stop_all),
    ]


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")
