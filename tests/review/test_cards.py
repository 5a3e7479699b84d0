from __future__ import annotations

import pytest

from recognizer.model.description import Estimate, EvaluationPhotos, LabelEvidence, TrainingImages
from recognizer.review.cards import describe_evidence


@pytest.mark.parametrize(
    ("train", "test", "precision", "text", "mark"),
    [
        (
            TrainingImages(photos=16, sources=2),
            EvaluationPhotos(photos=5, sources=1),
            Estimate(0.8, 0.5, 0.95),
            "16 training photos from 2 sources; measured on 5 test photos from 1 source: "
            "average precision 0.80 (0.50 to 0.95)",
            "thin evidence",
        ),
        (
            TrainingImages(photos=1, sources=1),
            EvaluationPhotos(photos=0, sources=0),
            None,
            "1 training photo from 1 source; not measured: there are no test photos",
            "not measured",
        ),
        (
            TrainingImages(),
            EvaluationPhotos(photos=20, sources=4),
            None,
            "0 training photos; measured on 20 test photos from 4 sources",
            None,
        ),
        (None, None, None, "not recorded in the bundle", "not measured"),
    ],
)
def test_evidence_in_words(
    train: TrainingImages | None,
    test: EvaluationPhotos,
    precision: Estimate | None,
    text: str,
    mark: str | None,
) -> None:
    evidence = train and LabelEvidence(train=train, test=test, average_precision=precision)
    assert describe_evidence(evidence) == (text, mark)
