"""Takes the leads of a scan to Label Studio as tasks, and the annotations back as outcomes.

    python examples/label_studio.py tasks scan.sqlite --photo-url '/data/local-files/?d={source}' \
        --interface interface.xml > tasks.json
    python examples/label_studio.py outcomes export.json > outcomes.jsonl
    recognizer outcomes import scan.sqlite outcomes.jsonl

Paste ``interface.xml`` into the labelling interface of a project, import ``tasks.json``, and export
as JSON (not JSON-MIN). Photos whose source is not a URL need ``--photo-url``, with ``{sha256}`` or
``{source}``.
"""

import argparse
import json
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from recognizer import load_taxonomy
from recognizer.desk import MAX_CHARACTERS, Judgement, Outcome

QUERY = """
SELECT source, listing, title, price, seller, url, sha256, width, height, score, why, leads,
  regions, model, decision
FROM rows WHERE decision IN ('review', 'priority') AND sha256 IS NOT NULL ORDER BY id
"""
TEXTS = ("title", "price", "seller", "url", "sha256", "decision")


def tasks(scan: str, photo_url: str | None) -> Iterator[dict[str, Any]]:
    """Yield a task for each lead, with its regions as boxes and the strongest product as a choice.

    One that no URL leads to is named on standard error.
    """
    database = sqlite3.connect(f"file:{quote(scan)}?mode=ro", uri=True)
    database.row_factory = sqlite3.Row
    for row in map(dict, database.execute(QUERY)):
        image = row["source"]
        if not image.startswith(("http://", "https://")):
            if photo_url is None:
                print(f"{image!r}: no URL: give a --photo-url", file=sys.stderr)
                continue
            image = photo_url.format(sha256=row["sha256"], source=quote(image))
        data = {name: row[name] or "" for name in TEXTS}
        data |= {"image": image, "listing": row["listing"]}
        data["why"] = "\n".join(json.loads(row["why"]))
        labels = [lead["name"] for lead in json.loads(row["leads"]) if lead["kind"] == "label"]
        result = [*boxes(row), *(result_of("label", "choices", name) for name in labels[:1])]
        prediction = {"model_version": row["model"], "score": row["score"], "result": result}
        yield {"data": data, "predictions": [prediction] if result else []}


def boxes(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the regions of the first frame, which is the one that Label Studio shows."""
    for number, region in enumerate(json.loads(row["regions"])):
        if region["frame"]:
            continue
        left, top, right, bottom = region["box"]
        across, down = 100 / row["width"], 100 / row["height"]
        place = {"x": left * across, "y": top * down, "rotation": 0}
        size = {"width": (right - left) * across, "height": (bottom - top) * down}
        box = result_of("region", "rectanglelabels", region["label"], id=f"region{number}")
        box["value"] |= place | size
        yield box | {"original_width": row["width"], "original_height": row["height"]}


def result_of(name: str, kind: str, label: str, **more: Any) -> dict[str, Any]:
    """Return a part of a pre-annotation."""
    part = {"id": name, "from_name": name, "to_name": "image", "type": kind}
    return part | more | {"value": {kind: [label]}}


def interface() -> str:
    """Return the labelling interface."""
    labels = [*load_taxonomy().labels]
    judgements, choices, regions = (
        "".join(f"<{tag} value={quoteattr(value)}/>" for value in values)
        for tag, values in (("Choice", Judgement), ("Choice", labels), ("Label", labels))
    )
    return f"""<View>
<Header value="$title"/><Text name="why" value="$why"/>
<Image name="image" value="$image" zoom="true"/>
<Choices name="judgement" toName="image" choice="single-radio" required="true">
{judgements}</Choices>
<Choices name="label" toName="image" choice="single" layout="select">{choices}</Choices>
<RectangleLabels name="region" toName="image">{regions}</RectangleLabels>
<TextArea name="note" toName="image" rows="2" maxSubmissions="1"/>
</View>
"""


def outcomes(export: list[dict[str, Any]]) -> Iterator[Outcome]:
    """Yield an outcome for each annotation that was not cancelled and has a judgement."""
    for task in export:
        for annotation in task["annotations"]:
            values = {one["from_name"]: one["value"] for one in annotation["result"]}
            if annotation.get("was_cancelled") or "judgement" not in values:
                continue
            who, data = annotation["completed_by"], task["data"]
            note = "\n".join(values.get("note", {}).get("text", []))
            note = "".join(c for c in note if c == "\n" or c.isprintable())
            yield Outcome.from_json(
                {
                    "time": annotation.get("updated_at") or annotation["created_at"],
                    "reviewer": who["email"] if isinstance(who, dict) else f"Label Studio {who}",
                    "judgement": values["judgement"]["choices"][0],
                    "sha256": data["sha256"],
                    "listing": data["listing"],
                    "label": next(iter(values.get("label", {}).get("choices", [])), None),
                    "note": note[: MAX_CHARACTERS["note"]],
                    "origin": "label studio",
                }
            )


def main(arguments: list[str] | None = None) -> None:
    """Write tasks, or outcomes, to standard output."""
    parser = argparse.ArgumentParser(description="Exchange leads with Label Studio.")
    parser.add_argument("what", choices=["tasks", "outcomes"])
    parser.add_argument("file", help="the file of a scan, or an export (JSON)")
    parser.add_argument("--photo-url")
    parser.add_argument("--interface", type=Path)
    options = parser.parse_args(arguments)
    if options.interface:
        options.interface.write_text(interface(), encoding="utf-8")
    if options.what == "tasks":
        json.dump([*tasks(options.file, options.photo_url)], sys.stdout)
        return
    with open(options.file, encoding="utf-8-sig") as file:
        for outcome in outcomes(json.load(file)):
            sys.stdout.buffer.write(outcome.to_json_line())


if __name__ == "__main__":
    main()
