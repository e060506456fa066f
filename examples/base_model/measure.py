"""Measures the base model on text it was not trained on."""

import math
from itertools import islice
from random import Random

import torch
from orders import ask_about, tell_order
from stories import documents
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast
from world import World, pick_order

HELD_OUT_SEED = 900_001


@torch.inference_mode()
def held_out_perplexity(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, world: World, document_count: int = 300
) -> float:
    """Perplexity per token over fresh documents, each read alone and with its end token."""
    nats, tokens = 0.0, 0
    for text in islice(documents(world, HELD_OUT_SEED), document_count):
        ids = torch.tensor([[*tokenizer.encode(text), tokenizer.eos_token_id]])
        nats += model(input_ids=ids, labels=ids).loss.item() * (ids.shape[1] - 1)
        tokens += ids.shape[1] - 1
    return math.exp(nats / tokens)


@torch.inference_mode()
def answered_share(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, world: World, question_count: int = 200
) -> float:
    """Share of questions about fresh stories to which the greedy answer is exactly right."""
    random = Random(HELD_OUT_SEED)
    right = 0
    for _ in range(question_count):
        order = pick_order(world, random)
        story, answers = tell_order(world, order, random)
        name = random.choice(sorted(answers))
        prompt = f"{story}\nQuestion: {ask_about(order, [name], random)[0]}\nAnswer:"
        ids = torch.tensor([tokenizer.encode(prompt)])
        output = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=16, do_sample=False)
        answer = tokenizer.decode(output[0, ids.shape[1] :], skip_special_tokens=True)
        right += answer.split("\n")[0].strip() == answers[name]
    return right / question_count
