"""Classes: of the base and of the data, kept, new or refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from transformers import AutoConfig

from afinador.config.spec import FineTuningSpec
from afinador.errors import DataError, ModelError
from afinador.training import FineTuner
from afinador.training.run_dir import RunDir
from tests.afinador.training.classified import PARTS, messages, reviews, run_card

MakeSpec = Callable[..., FineTuningSpec]


@pytest.fixture
def own_classifier(classifying: MakeSpec, tmp_path: Path) -> Path:
    """A base that is a classifier already, of the same three classes in an order of its own."""
    final = FineTuner(classifying("bert", "full", epochs=3), tmp_path / "first").run().model_path
    config = json.loads((final / "config.json").read_text())
    config["id2label"] = {"0": "slow", "1": "good", "2": "bad"}
    config["label2id"] = {"slow": 0, "good": 1, "bad": 2}
    (final / "config.json").write_text(json.dumps(config))
    weights = load_file(final / "model.safetensors")
    for name in ("classifier.weight", "classifier.bias"):
        weights[name] = weights[name][[2, 1, 0]].contiguous()
    save_file(weights, final / "model.safetensors", metadata={"format": "pt"})
    return final


def test_base_of_the_same_classes_keeps_its_head(classifying: MakeSpec, own_classifier: Path, tmp_path: Path) -> None:
    before = RunDir(tmp_path / "first").evaluation()["tuned"]
    tuner = FineTuner(classifying(own_classifier), tmp_path / "run")
    metrics = tuner.run().metrics
    assert metrics["base"]["head"] == "own" and "keeps its head" in messages(tuner.run_dir)
    assert metrics["base"]["loss"] == pytest.approx(before["loss"], abs=1e-5)
    config = AutoConfig.from_pretrained(tuner.run_dir.final / "base")
    assert config.id2label == {0: "slow", 1: "good", 2: "bad"}


@pytest.mark.parametrize("labels", [("good", "bad"), ("fair", "good", "bad")], ids=["fewer", "others"])
def test_base_of_other_classes_gets_a_new_head_and_says_so(
    labels: tuple[str, ...], classifying: MakeSpec, own_classifier: Path, tmp_path: Path, capsys: Any
) -> None:
    records = [{"text": f"the {word} is {label}", "label": label} for word in PARTS[5:20] for label in labels]
    spec = classifying(own_classifier, records=records, held_out=records[:6])
    tuner = FineTuner(spec, tmp_path / "run")
    metrics = tuner.run().metrics
    assert metrics["base"]["head"] == "untrained" and "gets a new head" in messages(tuner.run_dir)
    loaded = run_card(tuner.run_dir.final, spec.base_model)
    assert sorted(loaded["model"].config.id2label.values()) == sorted(labels)


@pytest.mark.parametrize(("base", "limit"), [("bert", 40), ("roberta", 40), ("gpt2", 128)])
def test_long_text_loses_its_end_but_not_its_special_tokens_and_is_counted(
    base: str, limit: int, classifying: MakeSpec, tmp_path: Path
) -> None:
    records = [*reviews(20, 1), {"text": "the food is good " * 60, "label": "good"}]
    tuner = FineTuner(classifying(base, records=records, micro_batch_size=4), tmp_path / "run")
    tuner.run()
    told = messages(tuner.run_dir)
    assert f"1 of 21 examples are longer than {limit} tokens and lose their end" in told
    assert "Shorten them: the model reads no more at once." in told and "Raise" not in told


def test_numbers_and_truth_values_are_classes_in_a_stable_order(classifying: MakeSpec, tmp_path: Path) -> None:
    for labels, named in (([10, 9, 2], ["2", "9", "10"]), ([True, False], ["false", "true"])):
        records = [{"text": f"the film {word}", "label": label} for word in PARTS[8:14] for label in labels]
        spec = classifying("bert", records=records, held_out=records[:3])
        final = FineTuner(spec, tmp_path / named[0]).run().model_path
        assert list(AutoConfig.from_pretrained(final / "base").id2label.values()) == named


def test_class_that_is_not_validated_is_told(classifying: MakeSpec, tmp_path: Path) -> None:
    held_out = [row for row in reviews(12, 2) if row["label"] != "slow"]
    tuner = FineTuner(classifying(held_out=held_out), tmp_path / "run")
    tuner.run()
    assert "1 of 3 classes do not occur in the validation file" in messages(tuner.run_dir)


CHATS = [{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}] * 4


@pytest.mark.parametrize(
    ("records", "held_out", "said"),
    [
        ([{"text": f"text {n}", "label": "good"} for n in range(5)], None, "All 5 records of reviews.jsonl have the label 'good'"),
        ([{"text": f"text {n}", "label": f"Answer {n}."} for n in range(9)], None, "9 different labels in 9 records, such as 'Answer 0.'.*task causal_lm"),
        ([{"prompt": "a", "completion": "b"}] * 4, None, "of the shape prompt_completion; sequence_classification learns from"),
        (CHATS, None, "of the shape messages; sequence_classification learns from"),
        ([{"text": "a", "label": " "}, {"text": "a", "label": "b"}], None, "Line 1: 'label' is empty"),
        (None, [*reviews(4, 3), {"text": "x", "label": "odd"}, {"text": "y", "label": "odd"}], "1 label that the training file does not have: 'odd', in 2 records"),
        (None, [{"prompt": "a", "completion": "b"}], "others.jsonl holds records of the shape prompt_completion"),
    ],
    ids=["one-class", "free-text", "prompts", "chats", "empty-label", "unknown-label", "unlabelled-validation"],
)  # fmt: skip
def test_labels_that_are_no_classes_fail_the_run_in_a_sentence(
    records: Any, held_out: Any, said: str, classifying: MakeSpec, tmp_path: Path
) -> None:
    run_dir = RunDir(tmp_path / "run")
    with pytest.raises(DataError, match=said):
        FineTuner(classifying(records=records, held_out=held_out), run_dir).run()
    assert run_dir.result()["error"]["message"] in messages(run_dir)


def test_only_weights_of_the_head_may_be_missing(classifying: MakeSpec, bases: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    for path in bases["bert"].iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    weights = load_file(folder / "model.safetensors")
    del weights["bert.encoder.layer.1.output.dense.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"1 weights of BertForSequenceClassification are missing .*output\.dense"):
        FineTuner(classifying(folder), tmp_path / "run").run()
