"""What goes wrong, as OpenAI's clients expect it: ``{"error": {"message", "type", "param", "code"}}`` and a status."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import HTTPException, RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as StarletteHTTPException

from minigemini.engine.many import Busy, Closed

TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
"""By status; other faults of the client are ``invalid_request_error``, and the server's are ``server_error``."""

KINDS = (
    *("system", "developer", "user", "assistant", "text", "image_url"),
    *("input_text", "input_image", "output_text", "image_generation_call"),
)

log = logging.getLogger(__name__)


class ApiError(HTTPException):
    """A refusal that tells the client what to change.

    Args:
        param: the field that is to blame, such as ``messages[0].content[1]``.
        code: for programs to tell refusals apart.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(status, message, headers)
        self.param = param
        self.code = code


def as_api_error(error: Exception) -> ApiError:
    """What to tell of an exception. What is nobody's business, the inside of a fault of ours, is logged and not told."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, Busy):
        return ApiError(429, f"{error}; try again soon", code="queue_full", headers={"Retry-After": "1"})
    if isinstance(error, Closed):
        return ApiError(503, "the server is shutting down", code="shutting_down", headers={"Retry-After": "10"})
    if isinstance(error, TimeoutError):
        return ApiError(504, str(error), code="timeout")
    if isinstance(error, ValueError):
        return ApiError(400, str(error))
    log.error("a request failed", exc_info=error)
    return ApiError(500, "the server failed at this request; its log says why", code="internal_error")


def body(error: ApiError) -> dict[str, Any]:
    """The JSON of an error."""
    status = error.status_code
    kind = TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": error.detail, "type": kind, "param": error.param, "code": error.code}}


def response(error: Exception) -> JSONResponse:
    told = as_api_error(error)
    return JSONResponse(body(told), told.status_code, told.headers)


def add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(RequestValidationError)
    async def of_validation(request: Request, error: RequestValidationError) -> JSONResponse:
        return response(_first_of(error))

    @app.exception_handler(StarletteHTTPException)
    async def of_http(request: Request, error: StarletteHTTPException) -> JSONResponse:
        if not isinstance(error, ApiError):  # of the framework: no such path, or method
            headers = dict(error.headers) if error.headers else None
            error = ApiError(error.status_code, f"{request.method} {request.url.path}: {error.detail}", headers=headers)
        return response(error)

    async def of_anything(request: Request, error: Exception) -> JSONResponse:
        return response(error)

    for kind in (
        ValueError,
        TimeoutError,
        Busy,
        Closed,
        Exception,
    ):  # of Exception alone the framework breaks the connection too
        app.add_exception_handler(kind, of_anything)


def _first_of(error: RequestValidationError) -> ApiError:
    first = error.errors()[0]
    where = _written(first["loc"][1:])
    named = where or None
    if first["type"] == "json_invalid":
        return ApiError(400, f"the body is not JSON: {first.get('ctx', {}).get('error', first['msg'])}")
    if not where:
        return ApiError(400, "the body must be an object, sent as Content-Type: application/json")
    if first["type"] == "extra_forbidden":
        return ApiError(400, f"{where}: this server has no such option", param=where, code="unsupported_parameter")
    if first["type"] == "missing":
        return ApiError(400, f"{where} is missing", param=named, code="missing_required_parameter")
    return ApiError(400, f"{where}: {first['msg']}", param=named, code="invalid_value")


def _written(location: Sequence[int | str]) -> str:
    """``messages[0].content``; without the kind of a message or part, which pydantic names behind its number."""
    text = ""
    for before, part in zip((None, *location), location, strict=False):
        if isinstance(part, int):
            text += f"[{part}]"
        elif not (isinstance(before, int) and part in KINDS):
            text += f".{part}"
    return text.removeprefix(".").encode("utf-8", "backslashreplace").decode()
