"""Receives the callbacks of Coop's actions and appeals, and writes what they say as outcomes.

Try it with ``pip install starlette uvicorn 'wildlife-product-recognizer[evidence]'`` and

    COOP_PUBLIC_KEY=coop.pem HANDOVER=scan.jsonl.handover OUTCOMES=outcomes.sqlite \
        uvicorn --factory coop_receiver:from_environment

behind a proxy that speaks TLS. In Coop, give each action of the review console the callback URL
``https://.../action`` and the body ``{"judgement": "confirmed"}`` (or ``rejected``, ``unsure``,
``escalated``; ``"label": "ivory_worked"`` if an action stands for one product), and give appeals
``https://.../appeal``. An action that a rule has triggered is nobody's finding, and is not stored.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from recognizer.errors import UsageError
from recognizer.review.handover.accepted import Accepted, AcceptedStore
from recognizer.review.outcomes import Judgement, Occasion, Outcome, OutcomeStore, as_note

MAX_BODY = 1 << 20
APPEALS = {"ACCEPT": Judgement.REJECTED, "REJECT": Judgement.CONFIRMED}  # of the decision


def is_signed(body: bytes, signature: str, key: rsa.RSAPublicKey) -> bool:
    """Whether Coop has signed a body (RSASSA-PKCS1-v1_5 with SHA-256, in base64)."""
    try:
        key.verify(base64.b64decode(signature), body, padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def of_action(body: dict[str, Any]) -> dict[str, Any] | None:
    """Return what a reviewer has found out; None where no reviewer said so."""
    said = body.get("custom") or {}
    if not body.get("actorEmail") or "judgement" not in said:
        return None
    return {
        "reviewer": body["actorEmail"],
        "judgement": Judgement(said["judgement"]),
        "label": said.get("label"),
        "note": as_note(body.get("actorNote") or body.get("decisionReason")),
    }


def of_appeal(body: dict[str, Any]) -> dict[str, Any]:
    """Return what became of an appeal; Coop does not say who decided."""
    return {
        "reviewer": "Coop",
        "judgement": APPEALS[body["appealDecision"]],
        "occasion": Occasion.APPEAL,
        "note": f"appeal {body['appealId']}",
    }


def store(said: dict[str, Any], lead: Accepted, outcomes: OutcomeStore) -> None:
    """Add an outcome for each image that was a lead; a repeated delivery adds nothing."""
    for sha256 in lead.images or [None]:
        outcome = Outcome(
            time=datetime.now(UTC),
            sha256=sha256,
            listing=lead.listing or (None if sha256 else lead.item),
            origin="coop",
            **said,
        )
        last = outcomes.of(outcome.subject)[-1:]
        if [replace(one, time=outcome.time) for one in last] != [outcome]:
            outcomes.add([outcome])


def make_app(key: rsa.RSAPublicKey, handover: Path, path: Path) -> Starlette:
    """Make the receiver for one organisation of Coop."""

    def receive(kind: str, body: bytes) -> int:
        try:
            values = json.loads(body)
            said = (of_action if kind == "/action" else of_appeal)(values)
            with AcceptedStore(handover, create=False) as accepted:
                lead = accepted.find(values["item"]["id"])
            if said is not None and lead is not None:  # else it is not about a lead of ours
                with OutcomeStore(path, create=True) as outcomes:
                    store(said, lead, outcomes)
        except (ValueError, KeyError, TypeError, AttributeError, UsageError):
            return 400
        return 204

    async def answer(request: Request) -> Response:
        body = await request.body()
        signature = request.headers.get("Coop-Signature", "")
        if len(body) > MAX_BODY or not is_signed(body, signature, key):
            return Response(status_code=401)
        return Response(status_code=await run_in_threadpool(receive, request.url.path, body))

    return Starlette(routes=[Route(p, answer, methods=["POST"]) for p in ("/action", "/appeal")])


def from_environment() -> Starlette:
    """Make the receiver that the environment describes."""
    key = serialization.load_pem_public_key(Path(os.environ["COOP_PUBLIC_KEY"]).read_bytes())
    if not isinstance(key, rsa.RSAPublicKey):
        raise SystemExit("COOP_PUBLIC_KEY: not Coop's webhook signature verification key")
    return make_app(key, Path(os.environ["HANDOVER"]), Path(os.environ["OUTCOMES"]))
