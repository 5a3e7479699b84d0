"""Label Studio: leads as tasks with pre-annotations, and outcomes from its export.

The format is that of its documentation: ``docs/source/guide/predictions.md`` and
``docs/source/includes/task_format.md``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path, PurePath
from string import Formatter
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from recognizer._atomic import replacing, require_own
from recognizer.errors import UsageError
from recognizer.listing_columns import Role, as_text, as_url, listing_of, value_of
from recognizer.model.bundle import Bundle
from recognizer.review.outcomes import Judgement, Outcome, as_note
from recognizer.rows.records import as_name
from recognizer.rows.row import Row

URL_FIELDS = ("sha256", "source", "name")
"""What a template of photo URLs may name."""

_JUDGEMENT, _LABEL, _NOTE, _REGION = "judgement", "label", "note", "region"
_BEGINNINGS = (b'[\n{"data":', b"[]\n")
_ROLES = (Role.TITLE, Role.PRICE, Role.SELLER, Role.URL)


def write_tasks(
    rows: Iterable[Row], output: Path, photo_url: str | None = None
) -> tuple[int, list[str]]:
    """Write the leads among rows as one file that Label Studio imports, in one step.

    ``photo_url`` says where photos are served whose source is not a URL, with :data:`URL_FIELDS` in
    braces, such as ``https://photos.example/{sha256}``. Returns the number of tasks, and the
    sources of leads without a URL, which are left out.
    """
    _check_template(photo_url)
    require_own(output, "file of tasks", lambda file: file.read(10).startswith(_BEGINNINGS))
    tasks, without_url = 0, []
    with replacing(output) as partial, partial.open("w", encoding="ascii", newline="\n") as file:
        for row in rows:
            if not row.is_lead or row.sha256 is None:
                continue
            url = _photo_url(row, photo_url)
            if url is None:
                without_url.append(row.source)
                continue
            file.write(",\n" if tasks else "[\n")
            file.write(json.dumps(_task(row, url), separators=(",", ":")))
            tasks += 1
        file.write("\n]\n" if tasks else "[]\n")
    return tasks, without_url


def _check_template(photo_url: str | None) -> None:
    if photo_url is None:
        return
    try:
        names = {name for _, name, _, _ in Formatter().parse(photo_url) if name is not None}
    except ValueError as error:
        raise UsageError(f"photo URL {photo_url!r}: {error}") from error
    if not names or not names <= {*URL_FIELDS}:
        known = ", ".join(f"{{{name}}}" for name in URL_FIELDS)
        raise UsageError(f"photo URL {photo_url!r}: name one or more of {known} in it")


def _photo_url(row: Row, template: str | None) -> str | None:
    url = as_url(row.source)
    if url is not None or template is None:
        return url
    clean = row.source.encode("utf-8", "replace").decode()
    name = quote(PurePath(clean).name, safe="")
    return template.format(sha256=row.sha256, source=quote(clean, safe="/"), name=name)


def _task(row: Row, url: str) -> dict[str, Any]:
    # The interface needs a text for each, even if it is empty.
    data: dict[str, Any] = {r.value: as_text(value_of(row.item or {}, r)) or "" for r in _ROLES}
    name = listing_of(row.item)
    listing = None if name is None else as_name(name)
    data |= {"image": url, "sha256": row.sha256, "listing": listing}
    result = [*_boxes(row), *_choice(row)]
    score = row.leads[0].score if row.leads else 0.0
    prediction = {"model_version": row.model.title, "score": score, "result": result}
    return {
        "data": data | {"why": "\n".join(row.why), "decision": row.decision.value},
        "predictions": [prediction] if result else [],
    }


def _boxes(row: Row) -> Iterator[dict[str, Any]]:
    if not row.width or not row.height:
        return
    across, down = 100 / row.width, 100 / row.height
    for number, region in enumerate(row.regions):
        if region.frame:
            continue  # Label Studio shows the first frame
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
        place = {"id": "label", "from_name": _LABEL, "to_name": "image"}
        yield place | {"type": "choices", "value": {"choices": [name]}}


def labelling_config(bundle: Bundle) -> str:
    """Return the XML of the labelling interface, to be pasted into a project's settings."""
    names = [label.name for label in bundle.taxonomy.labels.values()]

    def tags(tag: str, values: Iterable[str]) -> str:
        return "\n".join(f"    <{tag} value={quoteattr(value)}/>" for value in values)

    return f"""<View>
  <Header value="$title"/>
  <Text name="why" value="$why"/>
  <Image name="image" value="$image" zoom="true"/>
  <Choices name="{_JUDGEMENT}" toName="image" choice="single-radio" required="true">
{tags("Choice", Judgement)}
  </Choices>
  <Choices name="{_LABEL}" toName="image" choice="single" layout="select">
{tags("Choice", names)}
  </Choices>
  <RectangleLabels name="{_REGION}" toName="image">
{tags("Label", names)}
  </RectangleLabels>
  <TextArea name="{_NOTE}" toName="image" rows="2" maxSubmissions="1"/>
</View>
"""


def read_export(path: Path) -> tuple[list[Outcome], int]:
    """Read the outcomes in an export of Label Studio (JSON), and how many annotations have none."""
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
        except UsageError as error:
            raise UsageError(f"{path}: task {number}: {error}") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            what = f"no {error}" if isinstance(error, KeyError) else error
            raise UsageError(f"{path}: task {number}: {what} (export as JSON)") from error
    return outcomes, silent


def _outcome(data: Mapping[str, Any], annotation: Mapping[str, Any]) -> Outcome | None:
    values = {one["from_name"]: one["value"] for one in annotation["result"]}
    if annotation.get("was_cancelled") or _JUDGEMENT not in values:
        return None
    who = annotation["completed_by"]
    return Outcome(
        time=datetime.fromisoformat(annotation.get("updated_at") or annotation["created_at"]),
        reviewer=who["email"] if isinstance(who, Mapping) else f"Label Studio user {who}",
        judgement=Judgement(values[_JUDGEMENT]["choices"][0]),
        sha256=data["sha256"],
        listing=data.get("listing"),
        label=next(iter(values.get(_LABEL, {}).get("choices", [])), None),
        note=as_note("\n".join(values.get(_NOTE, {}).get("text", []))),
        origin="label studio",
    )
