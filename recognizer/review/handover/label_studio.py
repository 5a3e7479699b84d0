"""Label Studio: leads as tasks with pre-annotations, and outcomes from its export.

Tasks are images. The format is that of Label Studio's documentation
(``docs/source/guide/predictions.md`` and ``docs/source/includes/task_format.md``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from recognizer._atomic import replacing, require_own
from recognizer.errors import UsageError
from recognizer.listing_columns import Role, as_text, listing_of, value_of
from recognizer.model.bundle import Bundle
from recognizer.review.handover.photo_urls import PhotoUrls
from recognizer.review.outcomes import Judgement, Outcome, as_note, listing_identity
from recognizer.rows.row import Row

ORIGIN = "label studio"
_JUDGEMENT, _LABEL, _NOTE, _REGION = "judgement", "label", "note", "region"
_BEGINNINGS = (b'[\n{"data":', b"[]\n")
_ROLES = (Role.TITLE, Role.PRICE, Role.SELLER, Role.URL)


@dataclass(slots=True)
class Tasks:
    """What was written: how many tasks, and the sources of leads that have no URL."""

    tasks: int = 0
    without_url: list[str] = field(default_factory=list)


def write_tasks(rows: Iterable[Row], output: Path, urls: PhotoUrls) -> Tasks:
    """Write the leads among rows as one file that Label Studio imports, in one step.

    Raises:
        UsageError: the file cannot be written, or is something else.
    """
    require_own(output, "file of tasks", lambda file: file.read(10).startswith(_BEGINNINGS))
    report = Tasks()
    with replacing(output) as partial, partial.open("w", encoding="ascii", newline="\n") as file:
        for row in rows:
            if not row.is_lead or row.sha256 is None:
                continue
            url = urls.of(row.source, row.sha256)
            if url is None:
                report.without_url.append(row.source)
                continue
            file.write(",\n" if report.tasks else "[\n")
            file.write(json.dumps(_task(row, url), separators=(",", ":")))
            report.tasks += 1
        file.write("\n]\n" if report.tasks else "[]\n")
    return report


def _task(row: Row, url: str) -> dict[str, Any]:
    item = row.item or {}
    # What the interface shows must be a text, if an empty one.
    data = {role.value: as_text(value_of(item, role)) or "" for role in _ROLES}
    name = listing_of(row.item)
    listing = None if name is None else listing_identity(name)
    own = {"image": url, "sha256": row.sha256, "listing": listing}
    result = [*_boxes(row), *_choice(row)]
    prediction = {
        "model_version": row.model.title,
        "score": row.leads[0].score if row.leads else 0.0,
        "result": result,
    }
    return {
        "data": data | own | {"why": "\n".join(row.why), "decision": row.decision.value},
        "predictions": [prediction] if result else [],
    }


def _boxes(row: Row) -> Iterator[dict[str, Any]]:
    if not row.width or not row.height:
        return
    across, down = 100 / row.width, 100 / row.height
    for number, region in enumerate(row.regions):
        if region.frame:
            continue  # a console shows the first frame
        left, top, right, bottom = region.box
        yield {
            "id": f"region{number}",
            "from_name": _REGION,
            "to_name": "image",
            "type": "rectanglelabels",
            "original_width": row.width,
            "original_height": row.height,
            "image_rotation": 0,
            "score": region.score,
            "value": {
                "x": left * across,
                "y": top * down,
                "width": (right - left) * across,
                "height": (bottom - top) * down,
                "rotation": 0,
                "rectanglelabels": [region.label],
            },
        }


def _choice(row: Row) -> Iterator[dict[str, Any]]:
    for name in row.lead_labels[:1]:
        yield {
            "id": "label",
            "from_name": _LABEL,
            "to_name": "image",
            "type": "choices",
            "value": {"choices": [name]},
        }


def labelling_config(bundle: Bundle) -> str:
    """Return the XML of the labelling interface, to be pasted into a project's settings."""
    names = [label.name for label in bundle.taxonomy.labels.values()]
    choices = "\n".join(f"    <Choice value={quoteattr(name)}/>" for name in names)
    labels = "\n".join(f"    <Label value={quoteattr(name)}/>" for name in names)
    judgements = "\n".join(f"    <Choice value={quoteattr(name)}/>" for name in Judgement)
    return f"""<View>
  <Header value="$title"/>
  <Text name="why" value="$why"/>
  <Image name="image" value="$image" zoom="true"/>
  <Choices name="{_JUDGEMENT}" toName="image" choice="single-radio" required="true">
{judgements}
  </Choices>
  <Choices name="{_LABEL}" toName="image" choice="single" layout="select">
{choices}
  </Choices>
  <RectangleLabels name="{_REGION}" toName="image">
{labels}
  </RectangleLabels>
  <TextArea name="{_NOTE}" toName="image" rows="2" maxSubmissions="1"/>
</View>
"""


def read_export(path: Path) -> tuple[list[Outcome], int]:
    """Read the outcomes in an export of Label Studio (JSON), and how many annotations say none.

    Raises:
        UsageError: the file is not such an export; the message says where.
    """
    try:
        tasks = json.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read as an export of Label Studio: {error}") from error
    if not isinstance(tasks, list):
        raise UsageError(f"{path}: not an export of Label Studio: not a list (export as JSON)")
    outcomes, silent = [], 0
    for number, task in enumerate(tasks, 1):
        try:
            for annotation in task["annotations"]:
                outcome = _outcome(task["data"], annotation)
                silent += outcome is None
                outcomes += [outcome] if outcome else []
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            what = f"no {error}" if isinstance(error, KeyError) else error
            raise UsageError(f"{path}: task {number}: {what} (export as JSON)") from error
        except UsageError as error:
            raise UsageError(f"{path}: task {number}: {error}") from error
    return outcomes, silent


def _outcome(data: Mapping[str, Any], annotation: Mapping[str, Any]) -> Outcome | None:
    said = {one["from_name"]: one["value"] for one in annotation["result"]}
    if annotation.get("was_cancelled") or _JUDGEMENT not in said:
        return None
    who = annotation["completed_by"]
    who = who["email"] if isinstance(who, Mapping) else f"Label Studio user {who}"
    return Outcome(
        time=datetime.fromisoformat(annotation.get("updated_at") or annotation["created_at"]),
        reviewer=who,
        judgement=Judgement(said[_JUDGEMENT]["choices"][0]),
        sha256=data["sha256"],
        listing=data.get("listing"),
        label=next(iter(said.get(_LABEL, {}).get("choices", [])), None),
        note=as_note("\n".join(said.get(_NOTE, {}).get("text", []))),
        origin=ORIGIN,
    )
