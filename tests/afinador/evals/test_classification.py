"""Accuracy and F1 are scikit-learn's, and do not depend on how texts are put into batches."""

from __future__ import annotations

import random

import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support
from transformers import LlamaConfig, LlamaForSequenceClassification

from afinador.data.tokens.tokenisation import TokenisedExample
from afinador.evals.classification import Classification, measure_classes
from afinador.evals.measuring import measure
from afinador.models.classification import ClassScores


def predictions(seed: int) -> Classification:
    """Of 6 classes, of which some occur only among the predictions, and some nowhere."""
    numbers = random.Random(seed)
    expected = [numbers.choice((0, 1, 3)) for _ in range(30)]
    predicted = [right if numbers.random() < 0.5 else numbers.choice((0, 1, 2, 3, 5)) for right in expected]
    return Classification(1.0, expected, predicted)


@pytest.mark.parametrize("seed", range(5))
def test_figures_are_those_of_scikit_learn_over_the_classes_that_occur(seed: int) -> None:
    found = predictions(seed)
    present = sorted(set(found.expected))
    assert found.accuracy == pytest.approx(accuracy_score(found.expected, found.predicted))
    expected = f1_score(found.expected, found.predicted, labels=present, average="macro", zero_division=0)
    assert found.macro_f1 == pytest.approx(expected)
    theirs = precision_recall_fscore_support(found.expected, found.predicted, labels=range(6), zero_division=0)
    for number in range(6):
        ours = found.of_class(number)
        assert [ours["precision"], ours["recall"], ours["f1"]] == pytest.approx([row[number] for row in theirs[:3]])


def test_class_that_is_never_found_counts_nothing() -> None:
    assert Classification(1.0, [0, 0, 1, 1], [0, 0, 0, 0]).macro_f1 == pytest.approx((0.8 / 1.2 + 0) / 2)
    assert Classification(1.0, [1, 1], [0, 0]).figures() == {"loss": 1.0, "accuracy": 0.0, "macro_f1": 0.0}


@pytest.mark.parametrize("tokens_per_pass", [1, 40, 10_000])
def test_predictions_and_loss_are_those_of_single_texts(tokens_per_pass: int) -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = LlamaForSequenceClassification(LlamaConfig(vocab_size=31, num_labels=4, pad_token_id=1, **sizes)).eval()
    numbers = random.Random(0)
    examples = [
        TokenisedExample([numbers.randrange(2, 31) for _ in range(numbers.randrange(1, 20))], [numbers.randrange(4)])
        for _ in range(9)
    ]
    with torch.no_grad():
        logits = torch.cat([model(torch.tensor([example.input_ids])).logits for example in examples])
    expected = torch.tensor([example.labels[0] for example in examples])
    model.train()
    measured = measure_classes(ClassScores(model), examples, pad_id=1, tokens_per_pass=tokens_per_pass)
    assert measured.predicted == logits.argmax(-1).tolist() and measured.expected == expected.tolist()
    assert measured.loss == pytest.approx(torch.nn.functional.cross_entropy(logits, expected).item(), abs=1e-5)
    assert model.training
    assert measure(ClassScores(model), examples, pad_id=1, tokens_per_pass=tokens_per_pass).loss == pytest.approx(
        measured.loss, abs=1e-5
    )
