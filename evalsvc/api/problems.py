"""The one shape of an error over HTTP, and which error of the house becomes which."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from evalsvc.errors import EvalsvcError, IllegalTransition, InputError, JobNotFound, KeyReused, StoreError, StoreFull
from evalsvc.telemetry.log import get_log

_LOG = get_log("evalsvc.api")

_SCHEMAS = "#/components/schemas/{model}"

#: The code of an error that has none of its own, by status.
_CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "too_slow",
    409: "conflict",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid",
    429: "too_many_requests",
    431: "head_too_large",
    500: "internal",
    503: "unavailable",
}


class Where(BaseModel):
    """Where it stands: a file of the job, a line in it (1-based), a dotted key or the name of a parameter."""

    file: str | None = None
    line: int | None = None
    key: str | None = None


class Detail(BaseModel):
    """What is wrong."""

    code: str = Field(description="for programs")
    message: str = Field(description="for people: what is wrong and what would be right")
    where: Where | None = Field(description="null where it stands nowhere")


class Problem(BaseModel):
    """The body of every answer with a status of 400 and above."""

    error: Detail


class ApiError(HTTPException):
    """An answer with a status of 400 and above; the framework knows its base and lets it through.

    Args:
        status: the HTTP status.
        message: one sentence for people; it never quotes a secret.
        code: for programs; by default the status's own.
        where: the parameter, part or header it stands in.
        headers: sent with it.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        where: Where | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, message, dict(headers or {}))
        self.status, self.message = status, message
        self.code, self.where = code or code_of(status), where

    @property
    def response(self) -> Response:
        """The answer."""
        where = self.where.model_dump() if self.where else None
        body = {"error": {"code": self.code, "message": self.message, "where": where}}
        return as_json(body, self.status, self.headers)


def as_json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer; what JSON has no number for (NaN) becomes null."""
    return Response(orjson.dumps(value), status, headers, "application/json")


def code_of(status: int) -> str:
    """What programs call a status."""
    return _CODES.get(status) or ("bad_request" if status < 500 else "internal")


#: Errors of the house by status, code and what a client is told to do; the first that fits.
_HOUSE: tuple[tuple[type[EvalsvcError], int, str, dict[str, str]], ...] = (
    (JobNotFound, 404, "job_not_found", {}),
    (IllegalTransition, 409, "illegal_transition", {}),
    (KeyReused, 409, "key_reused", {}),
    (StoreFull, 503, "disk_full", {"Retry-After": "60"}),
    (StoreError, 503, "unavailable", {"Retry-After": "5"}),
)


def of_house(error: EvalsvcError) -> ApiError:
    """One of the house's errors as an answer."""
    if isinstance(error, InputError):
        place = Where(file=error.file, line=error.line, key=error.key)
        return ApiError(422, error.message, code="invalid_job", where=place)
    for sort, status, code, headers in _HOUSE:
        if isinstance(error, sort):
            return ApiError(status, str(error), code=code, headers=headers)
    return ApiError(500, "the daemon could not do this; its log says why")


def of_validation(error: RequestValidationError) -> ApiError:
    """The first thing wrong with a request's parameters or JSON body; what was sent is not repeated."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"] if part not in ("query", "path", "body", "header")) or None
    message = str(first["msg"])[:300]
    if first["type"] == "json_invalid":
        key, message = None, "the body is no JSON"
    return ApiError(422, message, where=Where(key=key) if key else None)


def add_handlers(app: FastAPI, *, page_errors: Any) -> None:
    """Give every error the one shape, or for a browser's pages what ``page_errors(request, error)`` draws."""

    def answer(request: Request, error: ApiError) -> Response:
        drawn: Response | None = page_errors(request, error)
        return drawn or error.response

    async def ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, ApiError)
        return answer(request, error)

    async def house(request: Request, error: Exception) -> Response:
        assert isinstance(error, EvalsvcError)
        if not isinstance(error, InputError | StoreError):
            _LOG.error("http.failed", method=request.method, path=request.url.path, reason=str(error))
        return answer(request, of_house(error))

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        said = HTTPStatus(error.status_code).phrase.lower() if error.status_code < 500 else "internal error"
        return answer(request, ApiError(error.status_code, said, headers=error.headers))

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return answer(request, of_validation(error))

    async def gone(request: Request, _error: Exception) -> Response:
        return answer(request, ApiError(400, "the client went away"))  # which nobody reads

    async def crash(request: Request, _error: Exception) -> Response:
        return answer(request, ApiError(500, "the daemon could not do this; its log says why"))

    for sort, handler in (
        (ApiError, ours),
        (EvalsvcError, house),
        (HTTPException, http),
        (RequestValidationError, invalid),
        (ClientDisconnect, gone),
        (Exception, crash),
    ):
        app.add_exception_handler(sort, handler)


def declared(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route, for OpenAPI: those named and the ones any route can give."""
    said = {
        400: "not addressed to this daemon, or not readable",
        401: "no token, or one that is not valid",
        403: "the token's role may not do this, or another site's page asked",
        404: "no such job",
        405: "not with this method",
        408: "the request took too long to arrive",
        409: "not in the state the job is in",
        413: "too large",
        415: "not multipart/form-data",
        422: "something in it is wrong: `where` says what",
        429: "too many wrong tokens: wait `Retry-After` seconds",
        431: "the head of the request is too large",
        500: "the daemon's own fault",
        503: "not now: wait `Retry-After` seconds",
    }
    always = (400, 401, 403, 408, 413, 429, 431, 500, 503)
    body = {"application/json": {"schema": {"$ref": _SCHEMAS.format(model=Problem.__name__)}}}
    return {status: {"description": said[status], "content": body} for status in sorted({*always, *statuses})}


def problem_schemas() -> dict[str, Any]:
    """The schemas `declared` refers to: once, as the framework builds a validator for every model of a route."""
    schema = Problem.model_json_schema(ref_template=_SCHEMAS)
    return {**schema.pop("$defs"), Problem.__name__: schema}
