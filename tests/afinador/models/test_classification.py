"""Every architecture that may be trained to classify: which of its weights may be new, and whose the order of classes is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoConfig, PreTrainedTokenizerFast

from afinador.config.architectures import CAUSAL_ARCHITECTURES, CLASSIFICATION_ARCHITECTURES
from afinador.errors import UnsupportedModelError
from afinador.models.classification import Classifier, ClassScores, load_classifier
from afinador.models.families import context_length_of

WORDS = ("<pad>", "<unk>", "</s>", *"abcdefghij")
SIZES = {
    "vocab_size": len(WORDS), "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
    "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 32,
}  # fmt: skip
DISTILBERT = {"vocab_size": len(WORDS), "dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 16}
GPT2 = {"vocab_size": len(WORDS), "n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 32}
LABELS = ["x", "y", "z"]


def tokenizer(pad: str | None = "<pad>") -> PreTrainedTokenizerFast:
    words = Tokenizer(models.WordLevel({word: at for at, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", eos_token="</s>", pad_token=pad)


def saved(architecture: str, folder: Path, **changed: object) -> Path:
    torch.manual_seed(0)
    cls = getattr(transformers, architecture)
    sizes = DISTILBERT if "DistilBert" in architecture else GPT2 if "GPT2" in architecture else SIZES
    cls(cls.config_class(**sizes, **changed)).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def load(folder: Path, labels: list[str] = LABELS, seed: int = 1, pad: str | None = "<pad>") -> Classifier:
    return load_classifier(folder, labels, tokenizer(pad), precision="float32", device="cpu", seed=seed)


@pytest.mark.parametrize("architecture", [*CAUSAL_ARCHITECTURES, *CLASSIFICATION_ARCHITECTURES])
def test_body_is_the_folder_s_and_head_the_seed_s_whatever_it_was_made_for(architecture: str, tmp_path: Path) -> None:
    folder = saved(architecture, tmp_path / "base")
    first, second, other = load(folder), load(folder), load(folder, seed=2)
    stored = load_file(folder / "model.safetensors")
    same = dict(second.model.named_parameters())
    differs = dict(other.model.named_parameters())
    prefix = f"{first.model.base_model_prefix}."
    for name, parameter in first.model.named_parameters():
        assert torch.equal(parameter, same[name])
        new = any(part in first.saved_whole for part in name.split("."))
        assert new or torch.equal(parameter, stored.get(name, stored.get(name.removeprefix(prefix)))), name
        assert torch.equal(parameter, differs[name]) != (new and parameter.ndim > 1), name
    assert not first.keeps_head and first.classes == ("x", "y", "z")
    assert {"classifier", "score"} & set(first.saved_whole)
    assert ("pooler" in first.saved_whole) == (architecture == "BertForMaskedLM")
    assert ("pre_classifier" in first.saved_whole) == architecture.startswith("DistilBert")


@pytest.mark.parametrize("architecture", ["GPT2LMHeadModel", "LlamaForCausalLM", "BertForMaskedLM"])
@pytest.mark.parametrize("pad", ["<pad>", None])
def test_padding_changes_no_score(architecture: str, pad: str | None, tmp_path: Path) -> None:
    model = load(saved(architecture, tmp_path / "base"), pad=pad).model
    pad_id = 0 if pad else 2
    ids, labels = torch.tensor([[3, 4, 5]]), torch.zeros(1, 1, dtype=torch.int64)
    padded, mask = torch.tensor([[3, 4, 5, pad_id, pad_id]]), torch.tensor([[1, 1, 1, 0, 0]])
    alone = ClassScores(model)(ids, torch.ones_like(ids), labels).logits_NV
    torch.testing.assert_close(ClassScores(model)(padded, mask, labels).logits_NV, alone, atol=1e-6, rtol=1e-5)


def test_classifier_of_the_same_classes_keeps_head_and_order(tmp_path: Path) -> None:
    order = {0: "z", 1: "x", 2: "y"}
    folder = saved("BertForSequenceClassification", tmp_path / "base", id2label=order)
    kept = load(folder)
    assert kept.keeps_head and kept.classes == ("z", "x", "y") and kept.saved_whole == ("classifier",)
    assert torch.equal(kept.model.classifier.weight, load_file(folder / "model.safetensors")["classifier.weight"])
    renamed = load(folder, ["x", "y", "other"])
    assert not renamed.keeps_head and renamed.model.config.label2id == {"x": 0, "y": 1, "other": 2}
    assert not torch.equal(renamed.model.classifier.weight, kept.model.classifier.weight)


def test_classifier_made_for_several_labels_at_once_chooses_one_now(tmp_path: Path) -> None:
    folder = saved("BertForSequenceClassification", tmp_path / "base", problem_type="multi_label_classification")
    assert load(folder).model.config.problem_type == "single_label_classification"


def test_positions_of_roberta_begin_behind_the_padding(tmp_path: Path) -> None:
    folder = saved("RobertaForMaskedLM", tmp_path / "base", pad_token_id=1)
    model = load(folder).model
    assert context_length_of(model) == 30
    ids = torch.full((1, 30), 3)
    model(ids)
    with pytest.raises((IndexError, RuntimeError)):
        model(torch.full((1, 31), 3))
    assert AutoConfig.from_pretrained(folder).pad_token_id == 1


def test_other_architectures_are_refused_with_both_lists(tmp_path: Path) -> None:
    folder = saved("BertForTokenClassification", tmp_path / "base")
    with pytest.raises(UnsupportedModelError, match=r"'BertForTokenClassification'.*LlamaForCausalLM.*BertForMaskedLM"):
        load(folder)
