"""Find ivory, big cat skins, antelope horn and other wildlife products in photos.

    >>> from pathlib import Path
    >>> from recognizer import Policy, Recognizer
    >>> recognizer = Recognizer.load()
    >>> prediction = recognizer.predict(Path("listing.jpg"))
    >>> recognizer.decide(prediction, Policy()).decision

The public names are those in ``__all__`` of this package and of its ``policy``, ``scan``, ``rows``,
``desk``, ``lab`` and ``errors``; all else may change. Each name here is imported when it is first
used; values load neither numpy nor onnxruntime.
"""

import os

import lazy_loader

# onnxruntime sends telemetry, and its forked processes hang at exit, unless this is set before it
# is imported (as of 1.29).
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# In NumPy and OpenCV, a thread for each further CPU spins for 0.1 s before it sleeps.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")

__version__ = "0.4.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
