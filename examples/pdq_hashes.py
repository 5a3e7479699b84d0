"""Prints the hashes of confirmed images, one a line, for other matchers.

    recognizer outcomes export scan.sqlite outcomes.jsonl
    python examples/pdq_hashes.py outcomes.jsonl > pdq.txt

Meta's ``threatexchange`` and HMA read such a file with their exchange of local files and the signal
type ``pdq``.
"""

import json
import sys
from pathlib import Path

lines = map(json.loads, Path(sys.argv[1]).read_text("utf-8").splitlines())
outcomes = sorted(lines, key=lambda outcome: outcome["time"])
withdrawn = {outcome["withdraws"] for outcome in outcomes} | {None}
latest = {}
for outcome in outcomes:
    if outcome["withdraws"] is None and outcome["id"] not in withdrawn:
        latest[outcome["sha256"]] = outcome
confirmed = [one for one in latest.values() if one["judgement"] == "confirmed" and one["phash"]]
print("\n".join(sorted({one["phash"] for one in confirmed})))
