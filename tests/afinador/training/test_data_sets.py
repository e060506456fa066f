"""Data of a run, from the file and from the cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from afinador.config.spec import FineTuningSpec
from afinador.storage import sha256_of
from afinador.training import FineTuner, data_sets
from afinador.training.caching import offer_cache
from afinador.training.run_dir import TIMES, RunDir


def test_a_run_on_cached_tokens_tokenises_nothing_and_is_the_same_to_the_bit(
    make_spec: Callable[..., FineTuningSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, folder = make_spec("lora", epochs=2, eval_steps=3), tmp_path / "cache" / "org-1"
    without, first, second = (RunDir(tmp_path / name) for name in ("without", "first", "second"))
    FineTuner(spec, without).run()
    for run in (first, second):
        offer_cache(run, folder, 10**8)
    FineTuner(spec, first).run()

    def never(*_: Any) -> None:
        raise AssertionError("nothing is tokenised in the second run")

    monkeypatch.setattr(data_sets, "tokenise_all", never)
    FineTuner(spec, second).run()
    assert measured(first) == measured(second) == measured(without)
    assert len(measured(without)) > 4
    weights = {sha256_of(run.final / "adapter_model.safetensors") for run in (without, first, second)}
    assert len(weights) == 1
    assert [told(run) for run in (without, first, second)] == [[], [False, False], [True, True]]
    said = [event["message"] for event in second.events_after(0)[0] if "nothing was tokenised" in event["message"]]
    assert said[0].startswith("animals.jsonl was tokenised before: 50 rows, ") and len(said) == 2


def measured(run: RunDir) -> list[dict[str, Any]]:
    return [{key: row[key] for key in row.keys() - TIMES} for row in run.metrics_after(0)[0]]


def told(run: RunDir) -> list[bool]:
    return [event["data"]["cached"] for event in run.events_after(0)[0] if "cached" in event["data"]]
