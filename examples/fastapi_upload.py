"""An upload endpoint that checks photos.

    uvicorn examples.fastapi_upload:app
    curl --data-binary @photo.jpg http://127.0.0.1:8000/photos

Too large is 413, too busy is 503 with Retry-After; everything else gets a decision and words for
the seller. A lead is a question for a reviewer: nobody is accused by an automatic answer.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from fastapi import FastAPI, HTTPException, Request

from recognizer import Decision, GuardedRecognizer, Limits, Policy

MIB = 1 << 20
MAX_BYTES = 10 * MIB
PROCESSES = int(os.environ.get("PROCESSES", os.cpu_count() or 1))
WAITING = 8 * PROCESSES  # uploads that may wait for a process; more are sent away
TIMEOUT = 10.0  # seconds for one photo
WORDS = {
    Decision.CLEAR: "Your photo is online.",
    Decision.REVIEW: "We will look at your photo before it goes online.",
    Decision.PRIORITY: "We will look at your photo before it goes online.",
    Decision.UNSCORED: "We could not read your photo. Please upload a JPEG or PNG file.",
}


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Start the processes before the first upload, and end them with the service."""
    with GuardedRecognizer.load(
        os.environ.get("BUNDLE"),
        processes=PROCESSES,
        timeout=TIMEOUT,
        memory_limit=600 * MIB,
        limits=Limits(max_bytes=MAX_BYTES, max_pixels=25_000_000),
    ) as app.state.recognizer:
        app.state.limiter = anyio.CapacityLimiter(PROCESSES)
        yield


app = FastAPI(lifespan=lifespan)


async def read_body(request: Request) -> bytes:
    """Read an upload, and stop as soon as it is too large, whatever its header says."""
    if int(request.headers.get("content-length") or 0) > MAX_BYTES:
        raise HTTPException(413, "A photo may have 10 MiB.")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            raise HTTPException(413, "A photo may have 10 MiB.")
    return bytes(body)


@app.post("/photos")
async def check(request: Request) -> dict[str, object]:
    """Check a photo."""
    limiter = app.state.limiter
    if limiter.statistics().tasks_waiting >= WAITING:
        raise HTTPException(503, "Too busy, please try again.", {"Retry-After": "2"})
    photo = await read_body(request)
    recognizer: GuardedRecognizer = app.state.recognizer
    prediction = await anyio.to_thread.run_sync(recognizer.predict, photo, limiter=limiter)
    verdict = recognizer.decide(prediction, Policy())
    return {
        "decision": verdict.decision,
        "reason": prediction.reason,  # of a damaged or unreadable photo
        "leads": [lead.name for lead in verdict.leads],  # for your reviewers, not for the seller
        "message": WORDS[verdict.decision],
    }


@app.get("/health")
async def health() -> dict[str, int]:
    """Say how busy the service is."""
    statistics = app.state.limiter.statistics()
    return {"busy": statistics.borrowed_tokens, "waiting": statistics.tasks_waiting}
