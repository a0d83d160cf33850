"""``/v1/models``, ``/health`` and ``/metrics``."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from minigemini.serving.http.errors import ApiError
from minigemini.serving.http.served import served_by

router = APIRouter()


@router.get("/v1/models")
async def list_models(request: Request) -> dict[str, Any]:
    return {"object": "list", "data": [_model(request)]}


@router.get("/v1/models/{name:path}")
async def retrieve_model(name: str, request: Request) -> dict[str, Any]:
    served_by(request).check_model(name)
    return _model(request)


@router.get("/health")
async def health(request: Request) -> dict[str, str]:
    """503 once the model's thread has died or the server is shutting down."""
    if not served_by(request).engine.alive:
        raise ApiError(503, "the model does not answer any more", code="not_alive")
    return {"status": "ok"}


@router.get("/metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """In Prometheus' text form."""
    served = served_by(request)
    metrics = served.feed.metrics
    metrics.running.set(served.feed.running)
    metrics.running_limit.set(served.feed.most)
    metrics.waiting.set(served.engine.queued)
    metrics.waiting_limit.set(served.engine.waiting)
    return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)


def _model(request: Request) -> dict[str, Any]:
    served = served_by(request)
    return {"id": served.name, "object": "model", "created": served.created, "owned_by": "minigemini"}
