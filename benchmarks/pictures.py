"""Draws the pictures of the documentation, from the sample images and the released model.

    python -m benchmarks.pictures

writes ``leads.jpg`` and ``precision.svg`` into ``docs/pictures``, and the digest of the first into
``renderings.json``. It shows renderings alone, no photo.
"""

import hashlib
import io
import json
import re
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from benchmarks.forms import fit
from recognizer import Policy, Recognizer
from recognizer.imaging.thumbnail import draw_heatmap
from recognizer.lab.evaluation.plots import STYLE
from recognizer.model.bundle import load_bundle
from recognizer.model.numerics import logit, sigmoid

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "datasets" / "samples"
PICTURES = ROOT / "docs" / "pictures"
LIST = PICTURES / "renderings.json"
SHOWN = ("ivory-bangles", "pangolin-heap", "cow-horn", "mug")
_PREVALENCE = 0.0003  # at which the card states precision
COLORS = {"priority": "#b3402e", "review": "#a86a00", "clear": "#57606c"}


def draw_leads() -> bytes:
    """Return a JPEG: samples, their heat-maps, and what the default policy makes of them."""
    recognizer = Recognizer.load(threads=1)
    with mpl.rc_context({**STYLE, "axes.grid": False, "axes.titlelocation": "center"}):
        figure = Figure(figsize=(9.6, 5.2), layout="constrained", dpi=110)
        for (above, below), name in zip(figure.subplots(2, len(SHOWN)).T, SHOWN, strict=True):
            prediction = recognizer.predict(SAMPLES / f"{name}.jpg")
            triage = recognizer.decide(prediction, Policy())
            label, score = max(prediction.scores.items(), key=lambda item: item[1])
            says = [(lead.title, lead.score) for lead in triage.leads] or [(label, score)]
            words = f"{triage.decision}: {says[0][0]} {says[0][1]:.2f}"
            found = recognizer.explain(SAMPLES / f"{name}.jpg", label)
            above.set_title(f"{name.replace('-', ' ')} (rendered)", color="#57606c")
            below.set_title(words, color=COLORS[triage.decision], fontweight="bold", fontsize=9)
            side = min(found.rgb.shape[:2])
            for axis, rgb in ((above, found.rgb), (below, draw_heatmap(found.rgb, found.heatmap))):
                axis.imshow(fit(rgb, side, side))
                axis.axis("off")
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
    Image.open(buffer).convert("RGB").save(jpeg := io.BytesIO(), "JPEG", quality=85, optimize=True)
    return jpeg.getvalue()


def draw_precision() -> Figure:
    """Draw the precision of the default policy over the prevalence, as the card has it for one."""
    card = (load_bundle().path / "MODEL_CARD.md").read_text("utf-8")
    number = r"([0-9.]+)"
    pattern = rf"any product \| 1 % \| {number} .* {number} % \(.* {number} % \({number}-{number}\)"
    recall, rate, *measured = map(float, re.findall(pattern, card)[0])
    shares = np.geomspace(1e-5, 0.1, 200)
    shift = logit(shares) - logit(_PREVALENCE)
    value, low, high = (sigmoid(logit(one / 100) + shift) for one in measured)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8, 3.6), layout="constrained")
        axes = figure.subplots()
        words = f"default policy: recall {recall:.2f}, FPR on new sources {rate:.2f} %"
        axes.plot(shares, value, color="#0072b2", label=words)
        axes.fill_between(shares, low, high, color="#0072b2", alpha=0.12, linewidth=0)
        axes.axvline(_PREVALENCE, color="#57606c", linestyle=":")
        axes.set(xscale="log", yscale="log", xlim=(1e-5, 0.1), ylim=(1e-4, 1))
        axes.set(xlabel="prevalence: share of all photos that show a product")
        axes.set(ylabel="precision: share of leads that do")
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:.4g}" if x >= 1e-4 else f"{x:.5f}")
        axes.yaxis.set_major_formatter(lambda y, _: f"{100 * y:g} %")
        axes.legend(loc="lower right", frameon=False, fontsize=8)
    return figure


def record(path: Path, command: str) -> None:
    """Note in the list of renderings what a picture is, and what drew it."""
    entries = [e for e in json.loads(LIST.read_text("utf-8")) if e["file"] != path.name]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    entries.append({"file": path.name, "sha256": digest, "command": command})
    LIST.write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Write the pictures."""
    (PICTURES / "leads.jpg").write_bytes(draw_leads())
    record(PICTURES / "leads.jpg", "python -m benchmarks.pictures")
    draw_precision().savefig(PICTURES / "precision.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
