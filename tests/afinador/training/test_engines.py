"""Two engines, one contract."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from afinador.config.spec import FineTuningSpec
from afinador.training import FineTuner
from afinador.training.checkpoints import complete_checkpoints, verify
from afinador.training.run_dir import RunDir
from afinador.training.stopping import Stopped, StopSign

MakeSpec = Callable[..., FineTuningSpec]
STEPS = 20


def run(spec: FineTuningSpec, folder: Path) -> list[dict[str, Any]]:
    tuner = FineTuner(spec, folder)
    tuner.run()
    return tuner.run_dir.metrics_after(0)[0]


def curve(rows: list[dict[str, Any]], name: str) -> list[float]:
    return [row[name] for row in rows if name in row]


# With dropout: the engines draw the same random numbers too.
@pytest.mark.parametrize(
    ("method", "given"), [("lora", {"lora_dropout": 0.2}), ("full", {"packing": True, "optimizer": "sgd"})]
)
def test_trainer_has_the_losses_of_the_loop(
    method: str, given: dict[str, Any], make_spec: MakeSpec, tmp_path: Path
) -> None:
    shape = {"epochs": 3, "micro_batch_size": 3, "warmup_steps": 4, "max_grad_norm": 0.5, "weight_decay": 0.1}
    rows = {}
    for engine in ("accelerate_loop", "hf_trainer"):
        spec = make_spec(method, engine=engine, save_steps=8, generation_examples=0, **shape, **given)
        rows[engine] = run(spec, tmp_path / engine)
    ours, theirs = rows["accelerate_loop"], rows["hf_trainer"]
    for name in ("train_loss", "grad_norm", "learning_rate", "valid_loss"):
        assert curve(theirs, name) == pytest.approx(curve(ours, name), abs=1e-4), name
    assert len(curve(theirs, "train_loss")) > STEPS
    told = []
    for engine in rows:
        run_dir = RunDir(tmp_path / engine)
        told.append([(event["type"], event["message"]) for event in run_dir.events_after(0)[0]])
        assert [verify(folder) > 0 for folder in complete_checkpoints(run_dir)] == [True, True]
        assert not [path for path in run_dir.path.iterdir() if path.name.startswith("checkpoint-")]
    assert len(told[0]) == len(told[1])
    # A checkpoint is announced when it is written, whatever else happens meanwhile.
    assert sorted(kind for kind, _ in told[0]) == sorted(kind for kind, _ in told[1])


@pytest.mark.parametrize("engine", ["accelerate_loop", "hf_trainer"])
def test_engine_obeys_the_stop_sign_before_each_step(engine: str, make_spec: MakeSpec, tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path / "run")

    class AfterTwoSteps(StopSign):
        def raise_if_asked(self, steps_done: float = 0) -> None:
            if len(run_dir.metrics_after(0)[0]) == 2:
                self.ask("two steps are enough")
            super().raise_if_asked(steps_done)

    with pytest.raises(Stopped, match="two steps are enough"):
        FineTuner(make_spec(engine=engine, validate=False), run_dir, stop=AfterTwoSteps(run_dir)).run()
    assert [row["step"] for row in run_dir.metrics_after(0)[0]] == [1, 2]
    assert run_dir.status()["state"] == "stopped"
