"""An upload endpoint that checks photos.

    WEB_CONCURRENCY=2 uvicorn examples.fastapi_upload:app
    curl -F photo=@photo.jpg http://127.0.0.1:8000/photos
    curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' http://127.0.0.1:8000/photos

A photo comes in a form, as browsers send it, or as it is. Too large is 413, neither of both 415 or
422, too busy 503 with Retry-After; everything else gets a decision and words for the seller. A lead
is a question for a reviewer: nobody is accused by an automatic answer.

``WEB_CONCURRENCY`` web workers share ``PROCESSES`` processes, by default as many as the container's
CPUs and memory allow. ``/metrics`` is for Prometheus: with several web workers, set
``PROMETHEUS_MULTIPROC_DIR`` to an empty folder, and it has the sums of all of them.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import prometheus_client as prometheus
from fastapi import FastAPI, HTTPException, Request, Response
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from recognizer import Decision, GuardedRecognizer, Limits, Policy
from recognizer.scan import worker_count

MIB = 1 << 20
MAX_BYTES = 10 * MIB
WEB_WORKERS = int(os.environ.get("WEB_CONCURRENCY", "1"))  # uvicorn and gunicorn read it, too
PROCESSES = max(1, worker_count(int(os.environ.get("PROCESSES", "0"))) // WEB_WORKERS)
WAITING = 9 * PROCESSES  # uploads that may be in work or wait for it; more are sent away
TIMEOUT = 10.0  # seconds for one photo
TOO_LARGE = HTTPException(413, "A photo may have 10 MiB.")
WORDS = {
    Decision.CLEAR: "Your photo is online.",
    Decision.REVIEW: "We will look at your photo before it goes online.",
    Decision.PRIORITY: "We will look at your photo before it goes online.",
    Decision.UNSCORED: "We could not read your photo. Please upload a JPEG or PNG file.",
}
ANSWERS = prometheus.Counter("photos", "Photos that were answered.", ["decision", "reason"])
IN_WORK = prometheus.Gauge("photos_in_work", "Photos in work.", multiprocess_mode="livesum")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Start the processes before the first upload, and end them with the service."""
    with GuardedRecognizer.load(
        os.environ.get("BUNDLE"),
        processes=PROCESSES,
        timeout=TIMEOUT,
        memory_limit=600 * MIB,
        limits=Limits(max_bytes=MAX_BYTES, max_pixels=25_000_000, max_views=10, max_ms=150),
    ) as app.state.recognizer:
        yield


app = FastAPI(lifespan=lifespan)


async def pieces(request: Request) -> AsyncIterator[bytes]:
    """Yield an upload, and stop as soon as it is too large, whatever its header says."""
    left = MAX_BYTES + (1 << 16)  # what a form puts around a photo
    if int(request.headers.get("content-length") or 0) > left:
        raise TOO_LARGE
    async for piece in request.stream():
        left -= len(piece)
        if left < 0:
            raise TOO_LARGE
        yield piece


async def read_photo(request: Request) -> bytes:
    """Return the first file of a form, or the body if that is the photo."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        try:
            parser = MultiPartParser(request.headers, pieces(request), max_files=1)
            form = await parser.parse()
        except (MultiPartException, KeyError) as error:
            raise HTTPException(400, "The form is damaged, or has several photos.") from error
        for value in form.values():
            if isinstance(value, UploadFile) and value.filename:
                return await value.read()
        raise HTTPException(422, "The form has no photo in it.")
    if kind.startswith("image/") or kind in {"", "application/octet-stream"}:
        return b"".join([piece async for piece in pieces(request)])
    raise HTTPException(415, "Send a form with a file, or a photo as image/jpeg or image/png.")


@app.post("/photos")
async def check(request: Request) -> dict[str, object]:
    """Check a photo."""
    recognizer: GuardedRecognizer = app.state.recognizer
    if recognizer.stats()["waiting"] >= WAITING:
        raise HTTPException(503, "Too busy, please try again.", {"Retry-After": "2"})
    photo = await read_photo(request)
    if len(photo) > MAX_BYTES:
        raise TOO_LARGE
    with IN_WORK.track_inprogress():
        prediction = await recognizer.predict_async(photo)
    triage = recognizer.decide(prediction, Policy())
    ANSWERS.labels(triage.decision, prediction.reason or "").inc()
    return {
        "decision": triage.decision,
        "reason": prediction.reason,  # of a damaged or unreadable photo
        "leads": [lead.name for lead in triage.leads],  # for your reviewers, not for the seller
        "message": WORDS[triage.decision],
    }


@app.get("/metrics")
async def metrics() -> Response:
    """Say how busy the service is, and what became of the photos."""
    registry = prometheus.REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = prometheus.CollectorRegistry()
        MultiProcessCollector(registry)
    text = prometheus.generate_latest(registry)
    return Response(text, media_type=prometheus.CONTENT_TYPE_LATEST)
