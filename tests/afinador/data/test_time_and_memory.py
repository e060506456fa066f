"""Time and memory that the verdict on a file takes, whatever stands in it."""

import json
import resource
import subprocess
import sys

import pytest

JUDGE_AND_TELL = """
import json, re, sys, time
from pathlib import Path
from afinador.data.validation import validate_dataset
started = time.monotonic()
report = validate_dataset(Path(sys.argv[1]), sys.argv[1], processes=1)
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024
print(json.dumps({"seconds": time.monotonic() - started, "peak": peak, "report": report.to_json()}))
"""


def judged_apart(path):
    limit = 4 * 10**9
    ran = subprocess.run(
        [sys.executable, "-c", JUDGE_AND_TELL, str(path)], capture_output=True, text=True, timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


CONTENTS = {
    "long_line.jsonl": lambda: b'{"text": "' + b"a" * (64 * 2**20 - 100) + b'"}\n{"text": "b"}\n',
    "too_long.jsonl": lambda: b'{"text": "' + b"a" * (64 * 2**20) + b'"}\n{"text": "b"}\n',
    "columns.csv": lambda: b",".join(b"c%d" % at for at in range(10**6)) + b"\n" + b"1," * (10**6 - 1) + b"1\n",
    "fields.jsonl": lambda: b"{" + b",".join(b'"%d":1' % at for at in range(2 * 10**5)) + b"}\n",
    "labels.csv": lambda: b"text,label\n" + b"".join(b"t%d,l%d\n" % (at, at) for at in range(50_000)),
    "quote.csv": lambda: b'text,label\n"' + b"a,b\n" * 10**6,
}
"""Made when they are asked for: they are large."""


@pytest.mark.parametrize(
    "name, codes, most_bytes",
    [
        ("long_line.jsonl", set(), 800 * 10**6),
        ("too_long.jsonl", {"line_too_long"}, 400 * 10**6),
        ("columns.csv", {"unknown_columns"}, 800 * 10**6),
        ("fields.jsonl", {"unknown_fields"}, 800 * 10**6),
        ("labels.csv", set(), 400 * 10**6),
        ("quote.csv", {"csv_syntax"}, 400 * 10**6),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_no_file_takes_long_or_much(tmp_path, name, codes, most_bytes):
    path = tmp_path / name
    path.write_bytes(CONTENTS[name]())
    told = judged_apart(path)
    assert codes <= set(told["report"]["counts"]) and bool(told["report"]["errors"]) == bool(codes)
    assert told["peak"] < most_bytes and told["seconds"] < 60
