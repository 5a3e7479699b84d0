"""A Coop on a real socket, made from its documented contract."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

from jsonschema import Draft202012Validator
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

KEY = "secret-key"

_ITEM = {
    "type": "object",
    "required": ["id", "typeId", "data"],
    "properties": {
        "id": {"type": "string", "minLength": 1},
        "typeId": {"type": "string"},
        "data": {
            "type": "object",
            "properties": {"images": {"type": "array", "items": {"type": "string"}}},
        },
    },
}
_REPORT = {
    "type": "object",
    "required": ["reporter", "reportedAt", "reportedItem"],
    "additionalProperties": False,
    "properties": {
        "reporter": {
            "type": "object",
            "required": ["kind", "typeId", "id"],
            "properties": {"kind": {"const": "user"}},
        },
        "reportedAt": {"type": "string", "format": "date-time"},
        "reportedItem": _ITEM,
        "reportedForReason": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "policyId": {"type": "string"},
                "reason": {"type": "string"},
                "csam": {"const": False},
            },
        },
    },
}


@dataclass
class Coop:
    """Coop 1.0.2 as its documents describe it (docs/api/report.md, errors.md).

    ``troubles`` are statuses that are answered first. ``jobs`` has one for each item, as there.
    """

    troubles: list[int] = field(default_factory=list)
    invalid: set[str] = field(default_factory=set)
    requests: list[Any] = field(default_factory=list)
    jobs: dict[str, Any] = field(default_factory=dict)
    url: str = ""

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/api/v1/report", self.report, methods=["POST"])])

    async def report(self, request: Request) -> Response:
        body = await request.json()
        if (trouble := await self._trouble(request, body)) is not None:
            return trouble
        if (bad := self._errors(body)) is not None:
            return bad
        self.jobs[body["reportedItem"]["id"]] = body
        return JSONResponse({"reportId": str(uuid.uuid1())}, 201)

    async def _trouble(self, request: Request, body: Any) -> Response | None:
        self.requests.append(body)
        if request.headers.get("x-api-key") != KEY:
            return JSONResponse({"errors": [{"status": 401, "title": "Invalid API Key"}]}, 401)
        trouble = self.troubles.pop(0) if self.troubles else None
        if trouble == 302:
            return Response(status_code=302, headers={"Location": "http://127.0.0.1:9/"})
        if trouble:
            headers = {"Retry-After": "1"} if trouble == 429 else {}
            return JSONResponse({"errors": [{"status": trouble}]}, trouble, headers)
        return None

    def _errors(self, body: Any) -> Response | None:
        wrong = [error.message for error in Draft202012Validator(_REPORT).iter_errors(body)]
        name = body["reportedItem"]["id"]
        wrong += [f"item {name}"] * (name in self.invalid)
        if not wrong:
            return None
        errors = [
            {"status": 400, "title": "Invalid Data for Item", "detail": detail} for detail in wrong
        ]
        return JSONResponse({"errors": errors}, 400)
