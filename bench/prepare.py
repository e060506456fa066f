"""The preparation of a large file by several processes against that by one.

A file of conversations in JSON Lines is made anew, the same at every run. Beside each other, in one run, in as many
processes as a preparation chooses and in one: steps that look at each row by itself (``rows``), and the same followed by
``deduplicate`` and ``split``, which one process takes (``all``). Each is a process of its own; the seconds are of the
whole preparation, hashes and lineage included, without the start; processor time and peak memory are of it and all
below it, the memory sampled. What they write must be the same to the byte.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from afinador.data.preparation import prepare_file
from bench.validate_1gb import MEGABYTE, measured, timed, write_conversations

ROW_STEPS = [
    {"type": "transform", "operation": "strip"},
    {"type": "transform", "operation": "collapse_spaces"},
    {"type": "filter", "condition": "length > 10 and words >= 3"},
    {"type": "transform", "operation": "replace", "pattern": "[0-9]{3,}", "replacement": "<number>"},
    {"type": "convert", "to": "sharegpt"},
]
STEPS = {"rows": ROW_STEPS, "all": [*ROW_STEPS, {"type": "deduplicate"}, {"type": "split", "validation": 0.1}]}


def main() -> None:
    """Make the file, measure, print JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--only", choices=list(STEPS))
    parser.add_argument("--folder", type=Path, help="where the files are made (default: a temporary folder)")
    parser.add_argument("--read", nargs=2, metavar=("WAY", "FILE"), help="only prepare a file, in this process")
    arguments = parser.parse_args()
    if arguments.read:
        print(json.dumps(timed(lambda path: prepared(arguments.read[0], path), Path(arguments.read[1]))))
        return
    chosen = [arguments.only] if arguments.only else list(STEPS)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        path = Path(folder) / "made.jsonl"
        write_conversations(path, arguments.megabytes * MEGABYTE)
        print(json.dumps({"megabytes": arguments.megabytes, **compared(path, chosen, arguments.repeat)}, indent=2))


def prepared(way: str, path: Path) -> dict:
    """Prepare a file; return what was made."""
    processes, steps = way.split("-")
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        target = Path(folder) / "prepared.jsonl"
        made = prepare_file(path, STEPS[steps], target=target, processes=1 if processes == "one" else None)
        return {"records": made.read, "sha256": [file.sha256 for file in made.files]}


def compared(path: Path, chosen: list[str], repeat: int) -> dict:
    """Prepare a file by one and by several, in turns; return the best time and the highest memory of each."""
    best: dict = {}
    for _ in range(repeat):
        for way in [f"{processes}-{steps}" for steps in chosen for processes in ("one", "several")]:
            found = measured(way, path, "bench.prepare")
            known = best.setdefault(way, found)
            assert known["sha256"] == found["sha256"] == best[way.replace("several", "one")]["sha256"], way
            for figure in ("seconds", "cpu_seconds"):
                known[figure] = min(known[figure], found[figure])
            known["peak_mb"] = max(known["peak_mb"], found["peak_mb"])
    for steps in chosen:
        one, several = best[f"one-{steps}"], best[f"several-{steps}"]
        several["ratio"] = round(several["seconds"] / one["seconds"], 2)
    return {way: {name: value for name, value in found.items() if name != "sha256"} for way, found in best.items()}


if __name__ == "__main__":
    main()
