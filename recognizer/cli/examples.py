"""The examples at the end of ``--help``."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[str, ...]] = {
    "scan": (
        "recognizer scan photos/ --report report.html",
        "recognizer scan listings.csv --output scan.jsonl --policy strict",
        "find photos -name '*.jpg' -print0 | recognizer scan - --output scan.jsonl",
    ),
    "decide": ("recognizer decide scan.jsonl --policy strict --output strict.jsonl",),
    "listings": ("recognizer listings scan.jsonl --output listings.csv",),
    "rows": ("recognizer rows scan.jsonl --output rows.csv",),
    "similar": (
        "recognizer scan photos/ --output scan.jsonl --embeddings scan.jsonl.embeddings",
        "recognizer similar tusk.jpg --journal scan.jsonl",
    ),
    "merge": (
        "recognizer scan photos/ --shard 1/2 --output 1.jsonl",
        "recognizer scan photos/ --shard 2/2 --output 2.jsonl",
        "recognizer merge 1.jsonl 2.jsonl --output scan.jsonl",
    ),
    "compare": ("recognizer compare before.jsonl after.jsonl --top 50",),
    "thresholds": (
        "recognizer thresholds --data photos/ --split all --photos-per-day 100000 --reviewers 2 "
        "--cases-per-reviewer 300 --output next.toml",
        "recognizer thresholds --journal scan.jsonl --outcomes scan.jsonl.outcomes "
        "--precision 0.5 --policy strict --output next.toml",
    ),
    "policy": (
        "recognizer policy strict --toml > mine.toml",
        "recognizer policy mine.toml",
    ),
    "review": ("recognizer review scan.jsonl --policy strict",),
    "report": ("recognizer report scan.jsonl --output report.html",),
    "handover": (
        "recognizer handover scan.jsonl --output tasks.json "
        "--photo-url 'https://photos.example/{sha256}'",
    ),
    "outcomes": (
        "recognizer outcomes import scan.jsonl.outcomes outcomes.json",
        "recognizer outcomes dataset scan.jsonl.outcomes decided/ --journal scan.jsonl",
    ),
    "measure": ("recognizer measure scan.jsonl --outcomes scan.jsonl.outcomes",),
    "evidence": ("recognizer evidence scan.jsonl --lead photos/tusk.jpg --output case/",),
    "bank": (
        "recognizer bank add known.bank tusk.jpg --label ivory_raw --note 'seizure 12'",
        "recognizer scan photos/ --known known.bank",
    ),
    "enroll": (
        "recognizer enroll shark_fin seized/ --check",
        "recognizer enroll shark_fin seized/ --output bundles/mine-v1",
        "recognizer scan photos/ --bundle bundles/mine-v1",
    ),
    "evaluate": (
        "recognizer evaluate bundles/own-v1 --data data/ --output report.html",
        "recognizer evaluate --data data/ --json > figures.json",
    ),
    "train": (
        "recognizer dataset split photos/ --output data/",
        "recognizer train --data data/ --output runs/mine",
        "recognizer export runs/mine --data data/ --output bundles/own-v1",
    ),
    "dataset": (
        "recognizer dataset labels photos/ whale_tooth=product resin=lookalike",
        "recognizer dataset split photos/ --output data/",
        "recognizer dataset check data/",
    ),
}
"""Verb -> commands, which work one after another."""


def epilog(verb: str) -> str | None:
    """Return the end of a verb's ``--help``; None where it has no examples."""
    lines = EXAMPLES.get(verb)
    return (
        None if lines is None else "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])
    )
