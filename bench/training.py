"""Training speed and memory, side by side with TRL's ``SFTTrainer`` and the plain ``transformers.Trainer``.

``python -m bench.training [--records 240] [--repeat 1]`` makes a workload of mixed-length instruction records and a model of 15M
parameters with random weights and a vocabulary of 32,000; installs the peers into an environment of their own
(``.bench/peers``, once); checks that all engines have the same first losses from the same adapter on the same batch;
then trains two epochs of LoRA with each in turn and measures the second. All compute in float32 on a CPU and in bfloat16 on a
GPU, with the same batch size, and are otherwise left at their defaults. Quote the ratios, not the seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from random import Random
from typing import Any

import torch
import yaml
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / ".bench" / "peers"
ENGINES = ("afinador", "trl", "trl-no-checkpointing", "transformers")
EQUAL_STEPS = 5
EQUAL_TOLERANCE = 5e-4  # the peers round what they log to four digits
BATCH_SIZE = 8
JOB = {"seed": 1, "batch_size": BATCH_SIZE, "learning_rate": 1e-3, "lora_rank": 16, "lora_alpha": 32}


def install_peers() -> Path:
    """Make the peers' environment unless it exists; returns its interpreter."""
    python = PEERS / "bin" / "python"
    stamp = PEERS / ".installed"
    if not stamp.exists():
        subprocess.run([sys.executable, "-m", "venv", str(PEERS)], check=True)
        quiet = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        wanted = ["-c", str(ROOT / "requirements.lock"), "-r", str(ROOT / "bench" / "peers" / "requirements.txt")]
        subprocess.run([python, *quiet, *wanted], check=True)
        stamp.touch()
    return python


def make_records(count: int, seed: int) -> list[dict[str, str]]:
    """Return records whose lengths are spread as in instruction data: prompts of 8–700 words, answers of 4–200.

    Both are log-normal, with medians of 60 and 25 words. The words are those of the examples' data.
    """
    random = Random(seed)
    lines = (ROOT / "examples" / "data" / "train.jsonl").read_text().splitlines()
    words = sorted({word for line in lines for word in json.loads(line)["prompt"].split()})

    def text(median: float, spread: float, least: int, most: int) -> str:
        length = int(min(most, max(least, random.lognormvariate(0, spread) * median)))
        return " ".join(random.choice(words) for _ in range(length))

    return [{"prompt": text(60, 0.9, 8, 700), "completion": text(25, 0.8, 4, 200)} for _ in range(count)]


def make_model(folder: Path) -> None:
    """Write a Llama with random weights and the examples' tokenizer; its vocabulary has the usual size."""
    tokenizer = AutoTokenizer.from_pretrained(ROOT / "examples" / "base_model" / "model")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=32_000,
        hidden_size=256,
        intermediate_size=768,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=4,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def make_workload(folder: Path, records: list[dict[str, str]], *, epochs: int) -> int:
    """Write records, the same as tokens, and the job; returns the number of tokens that are learnt in an epoch."""
    folder.mkdir(parents=True, exist_ok=True)
    make_model(folder / "model")
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    lines, learnt = [], 0
    for record in records:
        start = [tokenizer.bos_token_id] if tokenizer("x")["input_ids"][0] == tokenizer.bos_token_id else []
        prompt = start + tokenizer(f"Human: {record['prompt']}\nAssistant:", add_special_tokens=False)["input_ids"]
        answer = tokenizer(f" {record['completion']}", add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
        lines.append(json.dumps({"input_ids": prompt + answer, "labels": [-100] * len(prompt) + answer}))
        learnt += len(answer)
    (folder / "tokens.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, records)) + "\n")
    (folder / "job.json").write_text(json.dumps(JOB | {"epochs": epochs}))
    return learnt


def run_afinador(folder: Path) -> dict[str, Any]:
    """Train the workload with ``afinador train`` and read its journal."""
    job = json.loads((folder / "job.json").read_text())
    seed = job.pop("seed")
    request = {
        "base_model": str(folder / "model"),
        "dataset": str(folder / "train.jsonl"),
        "seed": seed,
        "hyperparameters": job | {"lora_dropout": 0.0, "logging_steps": 1},
    }
    (folder / "job.yaml").write_text(yaml.safe_dump(request))
    output = Path(tempfile.mkdtemp(dir=folder))
    program = Path(sys.executable).with_name("afinador")
    command = [str(program), "train", str(folder / "job.yaml"), "--output", str(output / "run")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"afinador train failed:\n{said}")
    rows = [json.loads(line) for line in next(output.rglob("metrics.jsonl")).read_text().splitlines()]
    rows = [row for row in rows if row.get("train_loss") is not None]
    return {
        "losses": [row["train_loss"] for row in rows],
        "ended_at": [row["timestamp_ms"] / 1000 for row in rows],
        "peak_bytes": _gpu_peak_bytes(output) if torch.cuda.is_available() else usage.ru_maxrss * 1024,
    }


def _gpu_peak_bytes(output: Path) -> int:
    """Return what torch had reserved on the GPU, as the peers tell it; 0 of a run that ended before its first sample."""
    samples = [json.loads(line) for path in output.rglob("resources.jsonl") for line in path.read_text().splitlines()]
    return max((sample.get("gpu_memory_peak_bytes", 0) for sample in samples), default=0)


def run_peer(python: Path, engine: str, folder: Path) -> dict[str, Any]:
    """Train the workload with a peer."""
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    command = [str(python), str(ROOT / "bench" / "peers" / "train.py"), engine, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{engine} failed:\n{done.stderr[-3000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def run(python: Path, engine: str, folder: Path) -> dict[str, Any]:
    """Train the workload with an engine of ``ENGINES``."""
    return run_afinador(folder) if engine == "afinador" else run_peer(python, engine, folder)


def check_equal_losses(python: Path, folder: Path) -> dict[str, list[float]]:
    """Train five steps on one batch with each engine; their losses must be equal.

    Raises:
        SystemExit: They are not; nothing measured after that would compare the same thing.
    """
    make_workload(folder, make_records(BATCH_SIZE, seed=7), epochs=EQUAL_STEPS)
    losses = {engine: run(python, engine, folder)["losses"] for engine in ENGINES}
    for engine, theirs in losses.items():
        apart = max(abs(one - other) for one, other in zip(losses["afinador"], theirs, strict=True))
        if apart > EQUAL_TOLERANCE:
            raise SystemExit(f"The first losses differ by {apart:.5f} between afinador and {engine}: {losses}")
    return {engine: [round(loss, 4) for loss in values] for engine, values in losses.items()}


def measure(records: int, repeat: int) -> dict[str, Any]:
    """Check the losses, then run all engines in turn ``repeat`` times and return medians and ratios."""
    python = install_peers()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        losses = check_equal_losses(python, folder / "equal")
        learnt = make_workload(folder / "speed", make_records(records, seed=1), epochs=2)
        rates: dict[str, list[float]] = {engine: [] for engine in ENGINES}
        peaks: dict[str, list[float]] = {engine: [] for engine in ENGINES}
        for _ in range(repeat):
            for engine in ENGINES:
                result = run(python, engine, folder / "speed")
                times = result["ended_at"]
                rates[engine].append(learnt / (times[-1] - times[len(times) // 2 - 1]))
                peaks[engine].append(result["peak_bytes"])
    rate = {engine: statistics.median(values) for engine, values in rates.items()}
    peak = {engine: statistics.median(values) for engine, values in peaks.items()}
    return {
        "first_losses": losses,
        "engines": {
            engine: {
                "learnt_tokens_per_second": round(rate[engine], 1),
                "speed_of_afinador_to_it": round(rate["afinador"] / rate[engine], 2),
                "peak_megabytes": round(peak[engine] / 1e6),
                "memory_of_afinador_to_it": round(peak["afinador"] / peak[engine], 2),
            }
            for engine in ENGINES
        },
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=240, help="records of the workload")
    parser.add_argument("--repeat", type=int, default=1, help="rounds over all engines; medians are printed")
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.records, arguments.repeat), indent=2))
