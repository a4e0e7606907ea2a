"""Paths that answer for a person: what to show, what to ask.

A quick answer, of less than a millisecond, is made on the event loop; any other in a thread, so that it keeps
nobody else waiting, and those whose searches can be one are made together (``coalescer``).
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.types import Scope

from engine.stopwatch import lap, timed
from serve_apps.answers import CompareAnswer, ElicitAnswer, RecommendAnswer
from serve_apps.bodies import StrictJsonRoute
from serve_apps.paths.documented import BODY, INVALID, UNAVAILABLE, problems
from serve_apps.paths.short_cut import FAILED
from serve_apps.people import history_of
from serve_apps.requests import CompareRequest, ElicitRequest, RecommendRequest
from serve_apps.service import Service
from serve_apps.trace import age_s, header

TIMING = b"x-timing"
Timing = Annotated[
    str | None,
    Header(description="Whatever it says: the answer's `Server-Timing` tells how long its parts took."),
]


async def recommended(
    service: Service, request: RecommendRequest, scope: Scope
) -> tuple[dict[str, Any], dict[str, str]]:
    """The slate for a person, as `ServedModel.told`, and headers: how long its parts took, for who asks."""
    stage, parse_s = service.stage, age_s(scope)
    model = stage.answering(request.user_id)
    with timed() as laps:
        with lap("store"):
            history = await history_of(service.events, request)
        if model.is_quick(request, history):
            told = model.told(request, history)
        elif model.is_plain(request):
            with lap("score"):
                told = await model.told_coalesced((request, history))
        else:
            told = await run_in_threadpool(model.told, request, history)
    stage.look_on(request, history, told)
    laps = {"parse": parse_s, **laps}
    if service.telemetry is not None:
        service.telemetry.recommended(model.version, told["shots"], len(told["ignored_events"]), laps)
    if not header(scope, TIMING):
        return told, {}
    return told, {"Server-Timing": ", ".join(f"{name};dur={s * 1000:.3f}" for name, s in laps.items())}


def recommending(service: Service) -> APIRouter:
    router = APIRouter(route_class=StrictJsonRoute, tags=["recommend"])
    responses = problems(BODY, INVALID, UNAVAILABLE)

    @router.post("/v1/recommend", response_model_exclude_none=True, responses=responses)
    async def recommend(
        request: RecommendRequest, http: Request, response: Response, x_timing: Timing = None
    ) -> RecommendAnswer:
        """The slate for a person: from the events of the request, from those stored under `user_id`, or both.

        Nothing is stored: the same request, the same answer (with `explore`: the same with a `seed`).
        """
        if FAILED in http.scope:
            raise http.scope[FAILED]
        told, headers = await recommended(service, request, http.scope)
        response.headers.update(headers)
        return RecommendAnswer.model_validate(told)

    @router.post("/v1/elicit", response_model_exclude_none=True, responses=responses)
    async def elicit(request: ElicitRequest) -> ElicitAnswer:
        """What to ask a person about, so that the answers tell most about them.

        An answer is an event. Name an item in `asked` where there was none.
        """
        model = service.stage.answering(request.user_id)
        return await run_in_threadpool(model.elicit, request, await history_of(service.events, request))

    @router.post("/v1/compare", response_model_exclude_none=True, responses=responses)
    async def compare(request: CompareRequest) -> CompareAnswer:
        """What popularity and item-kNN, both as one would first build them, would show to the same person.

        Item-kNN is there where the artifact holds neighbours.
        """
        model = service.stage.answering(request.user_id)
        return await run_in_threadpool(model.compare, request, await history_of(service.events, request))

    return router
