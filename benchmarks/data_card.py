r"""Write the list of the photos behind a model, and print the tables of its card.

The list has hashes, labels, corrections, sources, slices, folds and licences, and no photo.

    python -m benchmarks.data_card datasets/wildlife-v6.csv              # the tables alone
    python -m benchmarks.data_card datasets/wildlife-v6.csv --data DATA  # write the list first
"""

import argparse
import csv
from collections import Counter, defaultdict
from pathlib import Path

from recognizer.taxonomy import load_taxonomy

COLUMNS = (
    *("sha256", "label", "correction", "subtype", "source", "split"),
    *("slice", "group", "fold", "license", "origin"),
)

Rows = list[dict[str, str]]


def read_list(path: Path) -> Rows:
    """Read a CSV table."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def make_list(data: Path, folder: Path) -> Rows:
    """Return the rows of the list, from a manifest and the tables in a folder."""
    changed: dict[str, str] = {}
    for name in ("relabel.csv", "corrections.csv"):  # the later one wins
        changed |= {row["sha256"]: row["label"] for row in read_list(folder / name)}
    folds = {row["source"]: row for row in read_list(folder / "folds.csv")}
    slices = {row["source"]: row["slice"] for row in read_list(folder / "slices.csv")}
    rows = []
    for row in read_list(data / "manifest.csv"):
        fold = folds.get(row["source"], {}) if row["split"] == "train" else {}
        rows.append(
            {
                **{key: row.get(key, "") for key in COLUMNS},
                "correction": changed.get(row["sha256"], ""),
                "slice": slices[row["source"]],
                "group": fold.get("group", ""),
                "fold": fold.get("fold", ""),
            }
        )
    return sorted(rows, key=lambda row: row["sha256"])


def tables(rows: Rows) -> str:
    """Return the tables of the card in Markdown: labels, slices, licences."""
    return "\n\n".join([_labels(rows), _slices(rows), _licenses(rows)])


def _labels(rows: Rows) -> str:
    photos = Counter((row["label"], row["split"]) for row in rows)
    places = {(row["label"], row["split"], row["source"]) for row in rows}
    sources = Counter((label, split) for label, split, _ in places)
    corrected = Counter(row["label"] for row in rows if row["correction"])
    head = "| label | train: photos (sources) | test: photos (sources) | relabelled or excluded |"
    lines = [head, "|---|---|---|---|"]
    for label in sorted({row["label"] for row in rows}, key=[*load_taxonomy().labels].index):
        cells = [f"{photos[label, s]:,} ({sources[label, s]})" for s in ("train", "test")]
        lines.append(f"| `{label}` | {cells[0]} | {cells[1]} | {corrected[label] or '-'} |")
    return "\n".join(lines)


def _slices(rows: Rows) -> str:
    products = {product.name for product in load_taxonomy().products}
    lines = ["| slice | train: photos (sources) | with a product | test | with a product |"]
    lines += ["|---|---|---|---|---|"]
    for name in sorted({row["slice"] for row in rows}):
        cells = []
        for split in ("train", "test"):
            members = [row for row in rows if (row["slice"], row["split"]) == (name, split)]
            shown = [row for row in members if row["label"] in products]
            cells += [
                f"{len(group):,} ({len({row['source'] for row in group})})"
                for group in (members, shown)
            ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _licenses(rows: Rows) -> str:
    photos = Counter(row["license"] for row in rows)
    sources = defaultdict(set)
    for row in rows:
        sources[row["license"]].add(row["source"])
    lines = ["| licence, as found | photos | sources |", "|---|---|---|"]
    for license_, count in sorted(photos.items(), key=lambda item: (-item[1], item[0])):
        name = license_.replace("|", "\\|")
        lines.append(f"| {name} | {count:,} | {len(sources[license_])} |")
    return "\n".join(lines)


def main() -> None:
    """Write the list where data are given, and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("list", type=Path)
    parser.add_argument("--data", type=Path, help="a data folder: write the list from its manifest")
    parser.add_argument("--tables", type=Path, help="where folds, corrections and relabel lie")
    options = parser.parse_args()
    if options.data:
        rows = make_list(options.data, options.tables or options.list.parent)
        with options.list.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    print(tables(read_list(options.list)))


if __name__ == "__main__":
    main()
