"""How long training stands still for a checkpoint: written by a thread, against written before the next step.

``python -m bench.checkpoint_stall [--steps 24] [--save-steps 6] [--repeat 3]`` trains the model of ``bench.training`` (15M
parameters, all of them trained, with AdamW: 180 MB of state) in turn with our saver and with the same saver told to write on the
training thread, and reads from the results how long each has waited. Aim: at most 10 % of the synchronous save.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

from afinador.training import FineTuner
from afinador.training.saving import Saver
from bench.training import make_model, make_records


def train(folder: Path, name: str, *, steps: int, save_steps: int, in_background: bool) -> dict[str, Any]:
    """Train once and return what ``training.json`` says."""
    fields = {
        "base_model": "model",
        "dataset": "train.jsonl",
        "tuning_method": "full",
        "hyperparameters": {
            "epochs": 1,
            "batch_size": 4,
            "max_length": 256,
            "save_steps": save_steps,
            "save_total_limit": 1,
            "generation_examples": 0,
        },
    }
    tuner = FineTuner.from_fields(fields, folder / name, folder=folder)
    with patch.object(Saver, "_copies_fit", return_value=in_background):
        tuner.run()
    written = tuner.run_dir.read_document("training.json") or {}
    assert written["steps"] == steps
    return written


def measure(steps: int, save_steps: int, repeat: int) -> dict[str, Any]:
    """Train both ways in turn and compare the seconds waited for each checkpoint."""
    waited: dict[str, list[float]] = {"background": [], "synchronous": []}
    whole: dict[str, list[float]] = {"background": [], "synchronous": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_model(folder / "model")
        records = make_records(4 * steps, seed=1)
        (folder / "train.jsonl").write_text("\n".join(map(json.dumps, records)) + "\n")
        for number in range(repeat):
            for way in waited:
                done = train(
                    folder, f"{way}-{number}", steps=steps, save_steps=save_steps, in_background=way == "background"
                )
                waited[way].append(done["checkpoint_seconds"] / (steps // save_steps))
                whole[way].append(done["seconds"])
    seconds = {way: statistics.median(values) for way, values in waited.items()}
    return {
        "checkpoints": steps // save_steps,
        "seconds_waited_for_a_checkpoint": {way: round(value, 4) for way, value in seconds.items()},
        "share_of_synchronous": round(seconds["background"] / seconds["synchronous"], 3),
        "seconds_of_training": {way: round(statistics.median(values), 2) for way, values in whole.items()},
    }


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.checkpoint_stall", description=__doc__)
    parser.add_argument("--steps", type=int, default=24, help="optimizer steps of a run")
    parser.add_argument("--save-steps", type=int, default=6, help="steps between checkpoints")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each kind")
    options = parser.parse_args()
    print(json.dumps(measure(options.steps, options.save_steps, options.repeat), indent=1))


if __name__ == "__main__":
    main()
