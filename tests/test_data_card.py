import re
from collections import Counter
from pathlib import Path

from benchmarks.data_card import COLUMNS, read_list, tables
from recognizer.taxonomy import load_taxonomy

DATASETS = Path(__file__).parents[1] / "datasets"
LIST = DATASETS / "wildlife-v6.csv"


def test_the_card_has_the_tables_of_the_list():
    rows = read_list(LIST)
    card = (DATASETS / "CARD.md").read_text(encoding="utf-8")
    for table in tables(rows).split("\n\n"):
        assert table in card
    products = {product.name for product in load_taxonomy().products}
    shown = [row for row in rows if row["label"] in products]
    assert f"{len(rows):,} labelled photos" in card
    assert f"{len(shown):,} of {len({r['label'] for r in shown})} wildlife products" in card
    assert f"{len({r['source'] for r in rows})} sources" in card
    unstated = sum("unstated" in row["license"] for row in rows)
    assert f"{unstated:,} photos come from a repository that states no licence" in card


def test_the_list_keeps_its_rules():
    rows = read_list(LIST)
    assert tuple(rows[0]) == COLUMNS
    assert all(re.fullmatch("[0-9a-f]{64}", row["sha256"]) for row in rows)
    assert len({row["sha256"] for row in rows}) == len(rows)
    splits = {(row["source"], row["split"]) for row in rows}
    assert max(Counter(source for source, _ in splits).values()) == 1
    folds = {(row["group"], row["fold"]) for row in rows if row["split"] == "train"}
    assert max(Counter(group for group, _ in folds).values()) == 1
    numbers = sorted({int(fold) for _, fold in folds if fold})
    assert numbers == list(range(len(numbers)))
    assert f"folds of whole groups (0-{numbers[-1]})" in (DATASETS / "CARD.md").read_text()
    assert not any(row["fold"] for row in rows if row["split"] == "test")
    assert {row["slice"] for row in rows} == {"museums", "other", "posts", "shops"}
    assert all((row["slice"] == "posts") == ("/IWT" in row["source"]) for row in rows)
