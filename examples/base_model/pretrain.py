"""Makes the example base model from nothing: text, tokenizer, pretraining, measured figures, model card.

Run ``python examples/base_model/pretrain.py``; it needs no network, and the model card tells how long it took.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import torch
from initial_weights import set_initial_weights
from measure import answered_share, held_out_perplexity
from model_card import write_model_card
from stories import documents
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from vocabulary import train_tokenizer
from world import World, load_world

TOKENIZER_SEED = 7
CONTEXT_TOKENS = 512


@dataclass(frozen=True)
class PretrainingSettings:
    """What decides the result of pretraining; ``long_share`` is the last part, trained on full context."""

    seed: int = 1
    steps: int = 3000
    tokens_per_step: int = 1024
    short_row_tokens: int = 256
    long_share: float = 0.15
    learning_rate: float = 2e-3
    warmup_steps: int = 200
    weight_decay: float = 0.05
    vocabulary_size: int = 2048
    hidden_size: int = 160
    intermediate_size: int = 432
    layers: int = 4
    heads: int = 5


def build_model(settings: PretrainingSettings, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A Llama of the given size with its initial weights."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.hidden_size,
        intermediate_size=settings.intermediate_size,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.heads,
        max_position_embeddings=CONTEXT_TOKENS,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    set_initial_weights(model)
    return model


def token_stream(world: World, tokenizer: PreTrainedTokenizerFast, seed: int) -> Iterator[int]:
    """Tokens of documents without end, an end token after each."""
    source = documents(world, seed)
    while True:
        for ids in tokenizer(list(islice(source, 256)))["input_ids"]:
            yield from ids
            yield tokenizer.eos_token_id


def learning_rate_factor(step: int, settings: PretrainingSettings) -> float:
    """Linear warm-up, then a straight line down to nothing."""
    if step < settings.warmup_steps:
        return (step + 1) / settings.warmup_steps
    return (settings.steps - step) / (settings.steps - settings.warmup_steps)


def train(
    model: LlamaForCausalLM, world: World, tokenizer: PreTrainedTokenizerFast, settings: PretrainingSettings
) -> None:
    """Pretrains on a fresh stretch of text at every step, so that no document is seen twice."""
    optimizer = torch.optim.AdamW(
        model.parameters(), settings.learning_rate, betas=(0.9, 0.97), weight_decay=settings.weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate_factor(step, settings))
    stream = token_stream(world, tokenizer, settings.seed)
    started = time.monotonic()
    for step in range(settings.steps):
        is_long = step >= settings.steps * (1 - settings.long_share)
        row_tokens = CONTEXT_TOKENS if is_long else settings.short_row_tokens
        batch = torch.tensor(list(islice(stream, settings.tokens_per_step))).view(-1, row_tokens)
        loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        schedule.step()
        if (step + 1) % 100 == 0:
            print(f"step {step + 1}  loss {loss.item():.3f}  {time.monotonic() - started:.0f} s", flush=True)


def parse_arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="Pretrain the example base model on synthetic text.")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("model"))
    parser.add_argument("--steps", type=int, default=PretrainingSettings.steps)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def main() -> None:
    """Makes and saves the base model."""
    arguments = parse_arguments()
    settings = PretrainingSettings(steps=arguments.steps)
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(settings.seed)
    world = load_world()
    texts = islice(documents(world, TOKENIZER_SEED), 8000)
    tokenizer = train_tokenizer(texts, settings.vocabulary_size, CONTEXT_TOKENS)
    model = build_model(settings, tokenizer)
    started = time.monotonic()
    train(model, world, tokenizer, settings)
    training_seconds = time.monotonic() - started
    model.to(torch.bfloat16).save_pretrained(arguments.output)
    tokenizer.save_pretrained(arguments.output)
    # The figures on the card are those of the rounded weights that were saved, not of the ones in training.
    saved = LlamaForCausalLM.from_pretrained(arguments.output, dtype=torch.float32).eval()
    figures = {
        "parameters": saved.num_parameters(),
        "tokens": settings.steps * settings.tokens_per_step,
        "threads": arguments.threads,
        "training_seconds": round(training_seconds),
        "perplexity": held_out_perplexity(saved, tokenizer, world),
        "answered_share": answered_share(saved, tokenizer, world),
    }
    print(figures)
    write_model_card(arguments.output, asdict(settings), figures)


if __name__ == "__main__":
    main()
