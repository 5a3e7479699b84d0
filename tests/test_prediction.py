from __future__ import annotations

import json
from dataclasses import fields

import pytest
from jsonschema import Draft202012Validator

from recognizer.engine import Recognizer
from recognizer.imaging import ImageSource
from recognizer.prediction import Prediction, Region, prediction_schema
from tests.conftest import encoded, picture
from tests.pictures import animated


@pytest.mark.parametrize("image", [encoded(picture()), animated("blue", "red"), b"", picture()])
def test_a_prediction_as_json(image: ImageSource, recognizer: Recognizer) -> None:
    prediction = recognizer.explain(image, "ivory_worked").prediction
    found = json.loads(json.dumps(prediction.to_dict(), allow_nan=False))
    schema = prediction_schema()
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(found)
    names = [field.name for field in fields(Prediction)]
    assert [*found] == [*schema["properties"]] == names
    assert found["scores"] == prediction.scores
    assert found["status"] == prediction.status
    regions = [Region(**{**region, "box": tuple(region["box"])}) for region in found["regions"]]
    assert tuple(regions) == prediction.regions
