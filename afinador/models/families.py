"""How models are scored: the loss of what they should predict, and the logits it needs.

Legend: B examples, T positions, H width of the hidden states, V vocabulary or classes, N targets: scored positions, or
texts to be classified.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from afinador.config.architectures import context_length
from afinador.data.tokens.tokenisation import NOT_TRAINED


@dataclass(frozen=True)
class ScoredTargets:
    """Predictions and what should have been predicted.

    Attributes:
        logits_NV: Raw scores.
        targets_N: Token ids, ``NOT_TRAINED`` where nothing is to be predicted; or ids of classes.
    """

    logits_NV: Tensor
    targets_N: Tensor

    def loss_sum(self) -> Tensor:
        """Return the sum of the negative log-likelihoods of all targets, in nats, as a float32 scalar."""
        return functional.cross_entropy(
            self.logits_NV.float(), self.targets_N, ignore_index=NOT_TRAINED, reduction="sum"
        )

    def correct(self) -> Tensor:
        """Return how many targets have the highest logit."""
        return (self.logits_NV.argmax(dim=-1) == self.targets_N).sum()

    def sums(self) -> tuple[Tensor, Tensor]:
        """Return ``loss_sum`` and ``correct``; whoever keeps these alone keeps no logits."""
        return self.loss_sum(), self.correct()


class TokenScores(nn.Module):
    """Scores a batch with a causal language model.

    The token at position t is predicted at position t - 1. With ``logits_at_labels_only`` the output layer runs only
    where the next token carries a label. For short answers and large vocabularies that layer, and the memory of its
    result, is a good part of the whole; hidden states and losses are the same.

    Args:
        model: A model of ``afinador.config.architectures.CAUSAL_ARCHITECTURES``, or a PEFT model around one.
        logits_at_labels_only: False calls ``model(...)`` and computes all logits.
    """

    def __init__(self, model: nn.Module, *, logits_at_labels_only: bool) -> None:
        super().__init__()
        self.model = model
        self.logits_at_labels_only = logits_at_labels_only

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor, position_ids: Tensor | None = None
    ) -> ScoredTargets:
        """Score a batch of right-padded rows; all are (B, T), labels are not shifted.

        With ``position_ids`` a row holds several examples, each of which begins with 0. Transformers derives the
        block-diagonal mask from them, in each of its forms (sliding windows too), if it is given no other mask.
        """
        seen = {"attention_mask": attention_mask} if position_ids is None else {"position_ids": position_ids}
        targets_BT = labels[:, 1:]
        if not self.logits_at_labels_only:
            logits_BTV = self.model(input_ids=input_ids, **seen, use_cache=False).logits
            return ScoredTargets(logits_BTV[:, :-1].flatten(0, 1), targets_BT.flatten())
        base = pretrained_model_of(self.model)
        body = getattr(base, base.base_model_prefix)
        hidden_BTH = body(input_ids=input_ids, **seen, use_cache=False).last_hidden_state
        labelled_BT = targets_BT != NOT_TRAINED
        hidden_NH = hidden_BTH[:, :-1][labelled_BT]
        return ScoredTargets(logits_of(base, hidden_NH), targets_BT[labelled_BT])


def pretrained_model_of(model: nn.Module) -> PreTrainedModel:
    """Return the transformers model itself, without PEFT's wrapper; adapter layers stay in it."""
    without_wrapper = getattr(model, "get_base_model", lambda: model)
    return cast(PreTrainedModel, without_wrapper())


def logits_of(model: PreTrainedModel, hidden: Tensor) -> Tensor:
    """Return the logits that a model makes of hidden states (…, H), as (…, V).

    Gemma 2 and some of Gemma 3 bend their logits to a range (``final_logit_softcapping``); the other architectures
    that we train leave them as they are.
    """
    logits: Tensor = cast(nn.Module, model.get_output_embeddings())(hidden)
    cap = getattr(model.config, "final_logit_softcapping", None)
    return logits if cap is None else torch.tanh(logits / cap) * cap


def context_length_of(model: nn.Module) -> int | None:
    """Return how many positions a model was made for, or None if its configuration does not say."""
    return context_length(pretrained_model_of(model).config.to_dict())


def vocabulary_size_of(model: nn.Module) -> int:
    """Return how many tokens a model has embeddings for."""
    return int(pretrained_model_of(model).config.get_text_config().vocab_size)
