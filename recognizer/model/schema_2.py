"""Reading a ``bundle.json`` of schema 2, by bringing it into the form of schema 3.

Schema 2 wrote a calibration as a line or as knots, intervals as lists, and photo thresholds for
any-product thresholds; what a step of the lineage was had to be guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def from_schema_2(old: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a ``bundle.json`` of schema 2 in the form of schema 3."""
    new: dict[str, Any] = dict(old)
    new["any_product_thresholds"] = new.pop("photo_thresholds")
    new["labels"] = [_label_from_schema_2(entry) for entry in old["labels"]]
    new["families"] = [
        {**entry, "evidence": _evidence_from_schema_2(entry["evidence"])}
        for entry in old["families"]
    ]
    new["lineage"] = [_step_from_schema_2(step) for step in old.get("lineage", ())]
    if "training" in old:
        was_calibrated = any("calibrated" in step for step in old.get("lineage", ()))
        held_out = None if was_calibrated else old.get("calibration", {}).get("fingerprint")
        new["training"] = {
            **old["training"],
            "recipe": old["training"]["config"],
            "held_out": held_out,
        }
    appendix = ("unseen_sources", "patches_of_held_out_animals")
    new["appendix"] = {name: old[name] for name in appendix if name in old}
    return new


def _label_from_schema_2(old: Mapping[str, Any]) -> dict[str, Any]:
    curve = old["calibration"]
    new = {
        **old,
        "calibration": {
            "slope": curve["slope"],
            "knots": curve["knots"] if "knots" in curve else [[0.0, curve["intercept"]]],
        },
        "evidence": _evidence_from_schema_2(old["evidence"]),
    }
    return {**new, "fit": curve} if "method" in curve else new


def _evidence_from_schema_2(old: Mapping[str, Any]) -> dict[str, Any] | None:
    if not old:
        return None
    new: dict[str, Any] = {
        **old,
        "average_precision": _estimate(old["average_precision"]),
        "area_under_roc": _estimate(old["area_under_roc"]),
        "recall": {r: _estimate(e) for r, e in old["recall_at_false_alarm_rate"].items()},
    }
    if enrolled := old.get("enrolled"):
        new["enrolment"] = {
            **enrolled,
            "recall": {r: _share(s) for r, s in enrolled["leave_one_out_recall"].items()},
            "false_positives": {r: _share(s) for r, s in enrolled["false_alarms"].items()},
            "leads": _share(enrolled["leads_by_default"])
            if "leads_by_default" in enrolled
            else None,
        }
    if "before_enrolment" in old:
        new["before_enrolment"] = _evidence_from_schema_2(old["before_enrolment"])
    return new


def _estimate(numbers: list[float] | None) -> dict[str, float] | None:
    return None if numbers is None else dict(zip(("value", "low", "high"), numbers, strict=True))


def _share(numbers: list[float]) -> dict[str, float]:
    return dict(zip(("count", "of", "low", "high"), numbers, strict=True))


def _step_from_schema_2(old: Mapping[str, Any]) -> dict[str, Any]:
    parent = {**old["parent"], "digest": old["parent"]["sha256"]}
    if "calibrated" in old:
        return {**old, "parent": parent, "step": "calibrated", "photos": old["calibrated"]}
    return {
        **old,
        **old["settings"],
        "parent": parent,
        "step": "enrolled",
        "label": old["enrolled"],
    }
