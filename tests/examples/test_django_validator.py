import json
from pathlib import Path

from tests.examples.load import free_port, is_listening, post, running, uploads_of


def test_64_clients_validate_photos(tiny_bundle: Path) -> None:
    port = free_port()
    command = ["-m", "tests.examples.django_site", str(port)]
    with running(command, tiny_bundle, is_listening(port)):

        def send(body: bytes) -> str:
            status, answer = post(port, "/photos", body)
            assert status == 200
            return ",".join(json.loads(answer)["codes"]) or "valid"

        answers = uploads_of(send)
    assert {*answers} == {
        ("red", "lead"),
        ("green", "valid"),
        *((name, "unreadable") for name in ("empty", "text", "truncated", "garbage", "bomb")),
    }
