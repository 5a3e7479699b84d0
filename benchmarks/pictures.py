"""Draws the pictures of the documentation, from the sample images and the released model.

    python -m benchmarks.pictures

writes ``leads.jpg``, ``precision.svg``, ``shards.svg`` and ``split.svg`` into ``docs/pictures``,
and the digest of the first into ``renderings.json``. It shows renderings alone, no photo.
"""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from recognizer import Policy, Recognizer
from recognizer.evaluation.metrics import CONFIDENCE, share
from recognizer.evaluation.plots import STYLE
from recognizer.evaluation.prevalence import precision_estimate
from recognizer.imaging.thumbnail import draw_heatmap
from recognizer.model.bundle import load_bundle

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "datasets" / "samples"
PICTURES = ROOT / "docs" / "pictures"
LIST = PICTURES / "renderings.json"
SHOWN = ("ivory-bangles", "tusk-stack", "cow-horn", "mug")
COLORS = {"priority": "#b3402e", "review": "#a86a00", "clear": "#57606c"}


def draw_leads() -> bytes:
    """Return a JPEG: samples, their heat-maps, and what the default policy makes of them."""
    recognizer = Recognizer.load(threads=1)
    with mpl.rc_context({**STYLE, "axes.grid": False, "axes.titlelocation": "center"}):
        figure = Figure(figsize=(9.6, 5.2), layout="constrained", dpi=110)
        columns = figure.subplots(2, len(SHOWN)).T
        for (above, below), name in zip(columns, SHOWN, strict=True):
            prediction = recognizer.predict(SAMPLES / f"{name}.jpg")
            verdict = recognizer.decide(prediction, Policy())
            label = max(prediction.scores, key=lambda name: prediction.scores[name])
            found = recognizer.explain(SAMPLES / f"{name}.jpg", label)
            above.imshow(_square(found.rgb))
            below.imshow(_square(draw_heatmap(found.rgb, found.heatmap)))
            above.set_title(f"{name.replace('-', ' ')} (rendered)", color="#57606c")
            below.set_title(
                f"{verdict.decision}: {label} {prediction.scores[label]:.2f}",
                color=COLORS[verdict.decision],
                fontweight="bold",
                fontsize=9,
            )
            for axis in (above, below):
                axis.axis("off")
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
    jpeg = io.BytesIO()
    Image.open(buffer).convert("RGB").save(jpeg, "JPEG", quality=85, optimize=True)
    return jpeg.getvalue()


def _square(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the middle of an image."""
    height, width = rgb.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return rgb[top : top + side, left : left + side]


def draw_precision() -> Figure:
    """Draw the precision of the released model over the prevalence, with the default policy."""
    measured = load_bundle().evaluation
    if measured is None:
        raise SystemExit("the released model was not measured")
    counts = list(measured.leads.values())
    joint = 1 - (1 - CONFIDENCE) / 2
    recall = share(sum(one.leads for one in counts), sum(one.photos for one in counts), joint)
    flagged = round(measured.flagged_negatives * measured.negatives)
    rate = share(flagged, measured.negatives, joint)
    shares = np.geomspace(1e-5, 0.1, 200)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8, 3.6), layout="constrained")
        axes = figure.subplots()
        found = [precision_estimate(recall, rate, float(one)) for one in shares]
        line = [(one.value, one.low, one.high) for one in found if one]
        value, low, high = np.transpose(line)
        words = f"default policy: recall {recall.value:.2f}, FPR on new sources {rate.value:.2%}"
        axes.plot(shares, value, color="#0072b2", label=words)
        axes.fill_between(shares, low, high, color="#0072b2", alpha=0.12, linewidth=0)
        axes.axvline(0.0003, color="#57606c", linestyle=":")
        axes.set(xscale="log", yscale="log", xlim=(1e-5, 0.1), ylim=(1e-4, 1))
        axes.set(xlabel="prevalence: share of all photos that show a product")
        axes.set(ylabel="precision: share of leads that do")
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:.4g}" if x >= 1e-4 else f"{x:.5f}")
        axes.yaxis.set_major_formatter(lambda y, _: f"{100 * y:g} %")
        axes.legend(loc="lower right", frameon=False, fontsize=8)
    return figure


BOX = (
    '<rect class="b" x="{x}" y="{y}" width="{w}" height="{h}" rx="8"/>'
    '<text class="t" x="{m}" y="{t}" text-anchor="middle">{title}</text>'
    '<text class="s" x="{m}" y="{s}" text-anchor="middle">{words}</text>'
)
SVG = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" \
aria-label="{label}" font-family="system-ui, sans-serif">
<style>.b{{fill:#e6f4f1;stroke:#00796b;stroke-width:1.5}}.t{{font-size:16px;font-weight:600;\
fill:#10312c}}.s{{font-size:13px;fill:#274a44}}.a{{stroke:#00796b;stroke-width:2;fill:none}}\
@media (prefers-color-scheme:dark){{.b{{fill:#123b35}}.t,.s{{fill:#e6f4f1}}}}</style>
<defs><marker id="h" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" \
orient="auto"><path d="M0 0 8 4 0 8z" fill="#00796b"/></marker></defs>
{content}
</svg>
"""


def draw_shards() -> str:
    """Return the picture of a sharded scan as SVG."""
    parts = [
        _box(10, 96, 170, "The same sources", "listings.parquet"),
        _box(730, 96, 160, "all.sqlite", "recognizer merge"),
    ]
    for row, part in enumerate(("1/3", "2/3", "3/3")):
        y = 10 + 86 * row
        parts += [
            _box(250, y, 190, f"job {row + 1}", f"scan --shard {part}"),
            _box(500, y, 170, f"rows/{row + 1}.sqlite", "a file of its own"),
            _arrow(180, 125, 247, y + 29),
            _arrow(440, y + 29, 497, y + 29),
            _arrow(670, y + 29, 727, 125),
        ]
    label = (
        "Every job is given the same sources and scans its own part into its own file; merge "
        "makes one file of all"
    )
    return SVG.format(width=900, height=250, label=label, content="\n".join(parts))


def draw_split() -> str:
    """Return the picture of a split by source as SVG."""
    splits = {
        "train": (3, 76, "the model learns"),
        "validation": (1, 244, "thresholds are set"),
        "test": (1, 328, "the model is measured"),
    }
    sources = iter(("shop-anna", "museum", "shop-bert", "shop-carla", "shop-dora"))
    parts, y = [], 10
    for name, (count, middle, words) in splits.items():
        parts.append(_box(520, middle, 190, name, words))
        for _ in range(count):
            parts.append(_box(10, y, 300, next(sources), "photos of all labels, and near-copies"))
            parts.append(_arrow(310, y + 29, 517, middle + 29))
            y += 80
    label = "Each source, with all its photos, goes into one split: train, validation or test"
    return SVG.format(width=720, height=410, label=label, content="\n".join(parts))


def _box(x: int, y: int, width: int, title: str, words: str) -> str:
    middle = x + width / 2
    return BOX.format(
        x=x, y=y, w=width, h=58, m=middle, t=y + 25, s=y + 44, title=title, words=words
    )


def _arrow(x0: int, y0: int, x1: int, y1: int) -> str:
    return f'<path class="a" d="M{x0} {y0} {x1} {y1}" marker-end="url(#h)"/>'


def main() -> None:
    """Write all pictures."""
    leads = draw_leads()
    (PICTURES / "leads.jpg").write_bytes(leads)
    entries = [e for e in json.loads(LIST.read_text("utf-8")) if e["file"] != "leads.jpg"]
    digest = hashlib.sha256(leads).hexdigest()
    command = "python -m benchmarks.pictures"
    entries.append({"file": "leads.jpg", "sha256": digest, "command": command})
    LIST.write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")
    draw_precision().savefig(PICTURES / "precision.svg", metadata={"Date": None})
    (PICTURES / "shards.svg").write_text(draw_shards(), encoding="utf-8")
    (PICTURES / "split.svg").write_text(draw_split(), encoding="utf-8")


if __name__ == "__main__":
    main()
