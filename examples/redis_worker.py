"""A consumer of a Redis stream.

    python examples/redis_worker.py redis://127.0.0.1:6379

Put an image into the stream ``photos`` (fields ``id`` and ``photo``, its bytes); its decision comes
out of the stream ``decisions``. An image is acknowledged after its answer is written, so that a
worker that dies loses none; another one takes over what it left, and may answer twice. Start as
many workers as you like.
"""

import json
import os
import signal
import sys
from collections.abc import Iterator

import redis

from recognizer import GuardedRecognizer, Limits, Policy

PHOTOS, DECISIONS, GROUP = "photos", "decisions", "recognizer"
ABANDONED_MS = 60_000  # after this, an image that a worker has not answered is taken over
KEPT = 1_000_000  # answers; older ones are dropped


def entries(server: redis.Redis, worker: str) -> Iterator[tuple[bytes, dict[bytes, bytes]]]:
    """Yield what other workers have left, and what is new, until the process is asked to end."""
    ending = []
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: ending.append(True))
    while not ending:
        _, left, *_ = server.xautoclaim(PHOTOS, GROUP, worker, ABANDONED_MS, count=8)
        found = left or [
            entry
            for _, new in server.xreadgroup(GROUP, worker, {PHOTOS: ">"}, count=8, block=1000)
            for entry in new
        ]
        for entry in found:
            yield entry
            if ending:
                return


def main() -> None:
    """Answer images until the process is asked to end."""
    server = redis.Redis.from_url(sys.argv[1])
    try:
        server.xgroup_create(PHOTOS, GROUP, id="0", mkstream=True)
    except redis.ResponseError as error:
        if "BUSYGROUP" not in str(error):
            raise
    with GuardedRecognizer.load(
        os.environ.get("BUNDLE"),
        timeout=10.0,
        memory_limit=600 << 20,
        limits=Limits(max_bytes=10 << 20, max_pixels=25_000_000),
    ) as recognizer:
        print("ready", flush=True)
        for entry, fields in entries(server, f"worker-{os.getpid()}"):
            prediction = recognizer.predict(fields.get(b"photo", b""))
            triage = recognizer.decide(prediction, Policy())
            answer = {
                "id": fields.get(b"id", b""),
                "decision": triage.decision.value,
                "reason": (prediction.reason or ""),
                "leads": json.dumps([lead.name for lead in triage.leads]),
            }
            # The answer and the acknowledgement in one step.
            with server.pipeline() as both:
                both.xadd(DECISIONS, answer, maxlen=KEPT, approximate=True)
                both.xack(PHOTOS, GROUP, entry)
                both.xdel(PHOTOS, entry)
                both.execute()


if __name__ == "__main__":
    main()
