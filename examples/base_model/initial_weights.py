"""Initial weights from which a tiny model copies words from the start.

From random weights, a model of this size is slow to learn heads that find an earlier mention of a word and repeat what
followed it ("induction heads"). Here a few heads are set to do that from the first step, in rough form; training then
refines them. A high learning rate in the first steps undoes them, hence the long warm-up in ``pretrain.py``.
"""

import torch
from transformers import LlamaForCausalLM

EMBEDDING_SPREAD = 0.06
OTHER_SPREAD = 0.02
POSITION_GAIN = 0.65
WRITE_GAIN = 0.5
MATCH_GAIN = 2.8
COPY_GAIN = 0.5
COPYING_LAYERS = (1, 2)
COPYING_HEADS = 3


def orthogonal_rows(rows: int, columns: int) -> torch.Tensor:
    """Random orthonormal rows that are blind to the first column, the one that is alike in all embeddings."""
    directions = torch.linalg.qr(torch.randn(columns - 1, rows))[0].T
    return torch.cat([torch.zeros(rows, 1), directions], dim=1)


@torch.no_grad()
def set_initial_weights(model: LlamaForCausalLM) -> None:
    """Overwrites the weights: small noise, one head that looks at the token before, and a few that match and copy."""
    for name, weight in model.named_parameters():
        if weight.ndim == 2:
            torch.nn.init.normal_(weight, std=EMBEDDING_SPREAD if "embed" in name else OTHER_SPREAD)
    model.model.embed_tokens.weight[:, 0] = 1.0
    head_size, hidden_size = model.config.head_dim, model.config.hidden_size
    read, written = (orthogonal_rows(head_size, hidden_size) for _ in range(2))
    set_previous_token_head(model, read, written)
    for layer in COPYING_LAYERS:
        attention = model.model.layers[layer].self_attn
        for head in range(COPYING_HEADS):
            rows = slice(head * head_size, (head + 1) * head_size)
            copied = orthogonal_rows(head_size, hidden_size)
            attention.q_proj.weight[rows] = MATCH_GAIN * read
            attention.k_proj.weight[rows] = MATCH_GAIN * written
            attention.v_proj.weight[rows] = COPY_GAIN * copied
            attention.o_proj.weight[:, rows] = COPY_GAIN * copied.T


def set_previous_token_head(model: LlamaForCausalLM, read: torch.Tensor, written: torch.Tensor) -> None:
    """Makes the first head carry each token's word, as seen by ``read``, one place on, in the directions ``written``."""
    head_size = model.config.head_dim
    half = head_size // 2
    # Rotary positions turn pair i by base ** (-i / half) a place; a query turned back by one place meets the key before.
    base = model.config.rope_parameters["rope_theta"]
    angles = base ** (-torch.arange(half) / half)
    attention = model.model.layers[0].self_attn
    attention.q_proj.weight[:head_size] = 0.0
    attention.k_proj.weight[:head_size] = 0.0
    attention.q_proj.weight[:half, 0] = POSITION_GAIN * angles.cos()
    attention.q_proj.weight[half:head_size, 0] = -POSITION_GAIN * angles.sin()
    attention.k_proj.weight[:half, 0] = POSITION_GAIN
    attention.v_proj.weight[:head_size] = WRITE_GAIN * read
    attention.o_proj.weight[:, :head_size] = WRITE_GAIN * written.T
