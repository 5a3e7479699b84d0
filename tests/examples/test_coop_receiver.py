from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from examples.coop_receiver import make_app
from recognizer.review.handover.accepted import Accepted, AcceptedStore
from recognizer.review.outcomes import Occasion, OutcomeStore
from tests.review.handover.servers import serving


def test_the_receiver_writes_what_reviewers_say(tmp_path: Path) -> None:
    sha256, handover = "a" * 64, tmp_path / "scan.jsonl.handover"
    with AcceptedStore(handover, create=True) as accepted:
        lead = Accepted(item="3", content="c", listing="3", images=[sha256])
        accepted.add("https://coop.example", [lead])
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    store = tmp_path / "outcomes.sqlite"
    item = {"id": "3", "typeId": "listing", "typeName": "Listing"}
    action = {
        "item": item,
        "action": {"id": "remove"},
        "policies": [{"id": "wildlife", "name": "Wildlife", "penalty": "HIGH"}],
        "rules": [],
        "custom": {"judgement": "confirmed", "label": "ivory_raw"},
        "actorEmail": "ama@platform.example",
        "actorNote": "tusk\t tip",
    }
    appeal = {
        "appealId": "a7",
        "item": item,
        "appealedBy": {"id": "s1", "typeId": "user"},
        "appealDecision": "ACCEPT",
    }
    by_rule = {name: value for name, value in action.items() if name != "actorEmail"}
    unknown = action | {"item": item | {"id": "elsewhere"}}
    with serving(make_app(key.public_key(), handover, store)) as url:

        def post(kind: str, body: Any, sign: bool = True) -> int:
            data = json.dumps(body).encode()
            signature = key.sign(data, padding.PKCS1v15(), hashes.SHA256())
            headers = {"coop-signature": base64.b64encode(signature).decode()} if sign else {}
            return httpx.post(f"{url}/{kind}", content=data, headers=headers).status_code

        assert post("action", action, sign=False) == 401
        assert not store.exists()
        for body in (action, action, by_rule, unknown):  # Coop repeats what it is not sure of
            assert post("action", body) == 204
        assert post("appeal", appeal) == 204
        assert post("action", action | {"custom": {"judgement": "guilty"}}) == 400
        assert post("action", ["no action"]) == 400
    with OutcomeStore(store) as opened:
        first, second = opened
    assert (first.judgement, first.reviewer) == ("confirmed", "ama@platform.example")
    assert (first.label, first.note, first.listing) == ("ivory_raw", "tusk tip", "3")
    assert first.sha256 == second.sha256 == sha256
    assert (second.occasion, second.judgement) == (Occasion.APPEAL, "rejected")  # overturned
