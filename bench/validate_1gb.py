"""A large file of conversations and a large CSV: the whole verdict against reading the records and nothing else.

Both are made anew, the same at every run. Beside each other, in one run: all of ``validate_dataset`` in as many
processes as it chooses, the same in one process, ``orjson.loads`` of each line, and the streaming CSV reader of pyarrow.
Each is a process of its own; the seconds are of its work, without its start; processor time and peak memory are of it
and all below it, the memory sampled. Ratios of seconds say how long one waits, on a busy machine those of processor time
say more.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import psutil
from pyarrow import csv

from afinador.data.validation import validate_dataset

MEGABYTE = 10**6
SAMPLED_EVERY_SECONDS = 0.05
WORDS = 8000
LETTERS = "eeeeeaaaaaoooosssrrrnnniiidddlllctumpbgvyqhfzjñxkwáéíóú"


def main() -> None:
    """Make the files, measure, print JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--only", choices=["jsonl", "csv"])
    parser.add_argument("--folder", type=Path, help="where the files are made (default: a temporary folder)")
    parser.add_argument("--read", nargs=2, metavar=("HOW", "FILE"), help="only read a file, in this process")
    arguments = parser.parse_args()
    if arguments.read:
        print(json.dumps(timed(READERS[arguments.read[0]], Path(arguments.read[1]))))
        return
    told = {}
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for extension in [arguments.only] if arguments.only else ["jsonl", "csv"]:
            path = Path(folder) / f"made.{extension}"
            WRITERS[extension](path, arguments.megabytes * MEGABYTE)
            told[extension] = compared(path, ["bare", "validate", "validate_alone"], arguments.repeat)
            path.unlink()
    print(json.dumps({"megabytes": arguments.megabytes, **told}, indent=2))


def compared(path: Path, ways: list[str], repeat: int) -> dict:
    """Read a file in several ways, in turns; return the best time and the highest memory of each."""
    best: dict = {}
    for _ in range(repeat):
        for way in ways:
            found = measured(way, path)
            known = best.setdefault(way, found)
            for figure in ("seconds", "cpu_seconds"):
                known[figure] = min(known[figure], found[figure])
            known["peak_mb"] = max(known["peak_mb"], found["peak_mb"])
    for way in ways[1:]:
        best[way]["ratio"] = round(best[way]["seconds"] / best["bare"]["seconds"], 2)
        best[way]["cpu_ratio"] = round(best[way]["cpu_seconds"] / best["bare"]["cpu_seconds"], 2)
    return best


def measured(way: str, path: Path, module: str = "bench.validate_1gb") -> dict:
    """Read a file in a process of its own; return what it tells, with the peak memory of it and all below it."""
    command = [sys.executable, "-m", module, "--read", way, str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak = 0
    ended = threading.Event()

    def watch() -> None:
        nonlocal peak
        family = psutil.Process(process.pid)
        while not ended.wait(SAMPLED_EVERY_SECONDS):
            peak = max(peak, memory_of(family))

    watcher = threading.Thread(target=watch)
    watcher.start()
    answer, _ = process.communicate()
    ended.set()
    watcher.join()
    return {**json.loads(answer), "peak_mb": round(peak / MEGABYTE)}


def memory_of(family: psutil.Process) -> int:
    """Return the resident bytes of a process and all below it; what they share is counted for each."""
    return sum(map(resident_bytes, members_of(family)))


def members_of(family: psutil.Process) -> list[psutil.Process]:
    """Return a process and all below it; none when it has ended."""
    try:
        return [family, *family.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def resident_bytes(process: psutil.Process) -> int:
    """Return what a process holds; one that has just ended holds nothing, and the others still count."""
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def timed(read: Callable[[Path], dict], path: Path) -> dict:
    """Read a file; return what was read with the seconds, and the processor time of this process and of those below it."""
    before, started = _processor_seconds(), time.perf_counter()
    found = read(path)
    seconds, cpu_seconds = time.perf_counter() - started, _processor_seconds() - before
    return {"seconds": round(seconds, 3), "cpu_seconds": round(cpu_seconds, 3), **found}


def _processor_seconds() -> float:
    """Return those of this process, and of those below it that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def read_bare(path: Path) -> dict:
    """Make values of all records, and nothing of them."""
    if path.suffix == ".jsonl":
        with path.open("rb") as file:
            records = sum(1 for line in file if orjson.loads(line))
    else:
        options = csv.ParseOptions(newlines_in_values=True)
        records = sum(batch.num_rows for batch in csv.open_csv(path, parse_options=options))
    return {"records": records}


def read_validating(path: Path, processes: int | None = None) -> dict:
    """Judge a file."""
    report = validate_dataset(path, path.name, processes=processes)
    assert report.is_valid, report.summary()
    return {"records": report.records, "searched": report.searched, "counts": report.counts}


READERS: dict[str, Callable[[Path], dict]] = {
    "bare": read_bare,
    "validate": read_validating,
    "validate_alone": lambda path: read_validating(path, processes=1),
}


def write_conversations(path: Path, size: int) -> None:
    """Write conversations of one to four turns until the file has a size in bytes."""
    with path.open("wb") as file:
        for text, draw in texts():
            messages = [{"role": "system", "content": text(12)}]
            for _ in range(draw.randint(1, 4)):
                messages.append({"role": "user", "content": text(draw.randint(8, 60))})
                messages.append({"role": "assistant", "content": text(draw.randint(60, 160))})
            file.write(orjson.dumps({"messages": messages}) + b"\n")
            if file.tell() >= size:
                return


def write_table(path: Path, size: int) -> None:
    """Write a CSV of prompts and completions, quoted where a spreadsheet would, until the file has a size in bytes."""
    with path.open("wb") as file:
        file.write(b"prompt,completion\n")
        for text, draw in texts():
            row = [text(draw.randint(30, 120)), text(draw.randint(100, 350))]
            file.write(",".join('"' + cell.replace('"', '""') + '"' for cell in row).encode() + b"\n")
            if file.tell() >= size:
                return


def texts() -> Iterator[tuple[Callable[[int], str], random.Random]]:
    """Yield, for each record, what makes a text of so many words; all texts differ."""
    draw = random.Random(0)
    words = ["".join(draw.choices(LETTERS, k=draw.randint(2, 11))) for _ in range(WORDS)]
    weights = [1 / (rank + 10) for rank in range(WORDS)]
    pool = draw.choices(words, weights, k=200_000)

    def text(count: int) -> str:
        start = draw.randrange(len(pool) - count)
        chosen = pool[start : start + count]
        draw_at = draw.randrange(count)
        chosen[draw_at] = f"«{words[draw.randrange(WORDS)]}»," if draw.random() < 0.5 else str(draw.randrange(10**6))
        if count > 20:
            other = draw.randrange(len(pool) - count)
            chosen[count // 2 :] = pool[other : other + count - count // 2]
        if draw.random() < 0.2:
            chosen.insert(count // 3, f'"{words[draw.randrange(WORDS)]}":\n-')
        return " ".join(chosen).capitalize() + "."

    while True:
        yield text, draw


WRITERS: dict[str, Callable[[Path, int], None]] = {"jsonl": write_conversations, "csv": write_table}

if __name__ == "__main__":
    main()
