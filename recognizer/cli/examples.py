"""The examples at the end of ``--help``: commands that work one after another."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[str, ...]] = {
    "scan": (
        "recognizer scan photos/ --report report.html",
        "recognizer scan listings.csv --output scan.sqlite --policy strict",
        "find photos -name '*.jpg' -print0 | recognizer scan - --output scan.sqlite",
    ),
    "decide": ("recognizer decide scan.sqlite --policy strict --dry-run",),
    "rows": ("recognizer rows scan.sqlite --listings --output listings.csv",),
    "similar": (
        "recognizer scan photos/ --output scan.sqlite --embeddings",
        "recognizer similar scan.sqlite tusk.jpg",
    ),
    "merge": (
        "recognizer scan photos/ --shard 1/2 --output 1.sqlite",
        "recognizer scan photos/ --shard 2/2 --output 2.sqlite",
        "recognizer merge 1.sqlite 2.sqlite --output scan.sqlite",
    ),
    "thresholds": (
        "recognizer thresholds --data photos/ --split all --photos-per-day 100000 --reviewers 2 "
        "--cases-per-reviewer 300 --output next.toml",
        "recognizer thresholds --scan scan.sqlite --precision 0.5 --output next.toml",
    ),
    "policy": ("recognizer policy strict --toml > mine.toml", "recognizer policy mine.toml"),
    "outcomes": (
        "recognizer outcomes import scan.sqlite outcomes.json",
        "recognizer outcomes dataset scan.sqlite decided/",
    ),
    "evidence": ("recognizer evidence scan.sqlite --lead photos/tusk.jpg --output case/",),
    "bank": (
        "recognizer bank add known.bank tusk.jpg --label ivory_raw --note 'seizure 12'",
        "recognizer scan photos/ --known known.bank",
    ),
    "enroll": (
        "recognizer enroll shark_fin seized/ --check",
        "recognizer enroll shark_fin seized/ --output bundles/mine-v1",
    ),
    "evaluate": ("recognizer evaluate bundles/own-v1 --data data/ --output report.html",),
    "train": (
        "recognizer dataset split photos/ --output data/",
        "recognizer train --data data/ --output runs/mine",
        "recognizer export runs/mine --data data/ --output bundles/own-v1",
    ),
    "dataset": (
        "recognizer dataset labels photos/ whale_tooth=product resin=lookalike",
        "recognizer dataset split photos/ --output data/",
    ),
}


def epilog(verb: str) -> str | None:
    """Return the end of a verb's ``--help``; None without examples."""
    lines = [f"  {line}" for line in EXAMPLES.get(verb, ())]
    return "\n".join(["\b", "Examples:", *lines]) if lines else None
