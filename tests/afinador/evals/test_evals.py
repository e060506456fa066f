"""Figures do not depend on how examples are put into batches, and are those of one example at a time."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from afinador.data.extraction import Document, Extraction
from afinador.data.shapes import Example
from afinador.data.tokens.prompting import asked_by
from afinador.data.tokens.tokenisation import TokenisedExample
from afinador.evals.batches import batches_by_tokens
from afinador.evals.compare import HeldOut, assess, comparison, questions_of
from afinador.evals.generation import exact_match, generate_answers, most_prompt_tokens
from afinador.evals.likelihood import Likelihood, measure_likelihood
from afinador.models.families import TokenScores


def examples(count: int = 9) -> list[TokenisedExample]:
    numbers = Random(0)
    made = []
    for _ in range(count):
        ids = [numbers.randrange(2, 31) for _ in range(numbers.randrange(3, 20))]
        prompt = numbers.randrange(1, len(ids))
        made.append(TokenisedExample(ids, [-100] * prompt + ids[prompt:]))
    return made


def prompts(count: int = 7) -> list[list[int]]:
    numbers = Random(1)
    return [[numbers.randrange(5, 31) for _ in range(numbers.randrange(1, 9))] for _ in range(count)]


def test_batches_hold_every_index_once_and_no_more_tokens_than_allowed() -> None:
    lengths = [Random(2).randrange(1, 40) for _ in range(50)] + [200]
    batches = batches_by_tokens(lengths, 100)
    assert sorted(index for batch in batches for index in batch) == list(range(51))
    assert batches[0] == [50]
    assert all(max(lengths[index] for index in batch) * len(batch) <= 100 for batch in batches[1:])


@pytest.mark.parametrize("labels_only", [True, False])
@pytest.mark.parametrize("tokens_per_pass", [1, 40, 10_000])
def test_likelihood_is_the_mean_over_all_tokens_of_single_examples(
    model: LlamaForCausalLM, tokens_per_pass: int, labels_only: bool
) -> None:
    loss, correct, tokens = 0.0, 0, 0
    for example in examples():
        targets = torch.tensor(example.labels[1:])
        logits = model(torch.tensor([example.input_ids])).logits[0, :-1]
        chances = torch.log_softmax(logits, dim=-1)
        for position, target in enumerate(targets.tolist()):
            if target != -100:
                loss -= chances[position, target].item()
                correct += int(logits[position].argmax() == target)
                tokens += 1
    model.train()
    scores = TokenScores(model, logits_at_labels_only=labels_only)
    measured = measure_likelihood(scores, examples(), pad_id=1, tokens_per_pass=tokens_per_pass)
    assert measured.loss == pytest.approx(loss / tokens, abs=1e-4)
    assert (measured.accuracy, measured.tokens) == (pytest.approx(correct / tokens), tokens)
    assert measured.perplexity == pytest.approx(math.exp(loss / tokens), rel=1e-3)
    assert model.training


def test_perplexity_of_a_hopeless_model_is_still_a_number() -> None:
    assert math.isfinite(Likelihood(loss=1e6, accuracy=0.0, tokens=1).perplexity)


def one_at_a_time(model: LlamaForCausalLM, prompt: list[int], max_new_tokens: int) -> list[int]:
    """Greedy search without a cache, a batch or padding."""
    ids = list(prompt)
    for _ in range(max_new_tokens):
        ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
        if ids[-1] == 1:
            break
    return ids[len(prompt) :]


@pytest.mark.parametrize("tokens_per_pass", [1, 60, 10_000])
def test_answers_in_batches_are_those_of_single_prompts(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, tokens_per_pass: int
) -> None:
    asked = prompts()
    answers = generate_answers(model, tokenizer, asked, max_new_tokens=10, tokens_per_pass=tokens_per_pass)
    expected = [one_at_a_time(model, prompt, 10) for prompt in asked]
    assert answers == [tokenizer.decode(ids, skip_special_tokens=True).strip() for ids in expected]
    assert len(set(answers)) > 1


def test_answer_ends_at_the_end_token(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    model.lm_head.weight.data.zero_()  # all logits equal: the first id wins, and then EOS by a hair
    model.lm_head.bias = torch.nn.Parameter(torch.nn.functional.one_hot(torch.tensor(1), 31).float())
    answers = generate_answers(model, tokenizer, prompts(), max_new_tokens=10, tokens_per_pass=100)
    assert answers == [""] * 7


def test_sampling_settings_of_the_model_are_not_obeyed(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    plain = generate_answers(model, tokenizer, prompts(), max_new_tokens=10, tokens_per_pass=100)
    model.generation_config.update(do_sample=True, temperature=9.0, top_k=3, repetition_penalty=3.0, num_beams=2)
    assert generate_answers(model, tokenizer, prompts(), max_new_tokens=10, tokens_per_pass=100) == plain


def test_prompt_longer_than_the_context_is_cut_as_in_training(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    most = most_prompt_tokens(model, 10)
    assert most == model.config.max_position_embeddings - 10
    assert most_prompt_tokens(model, 10_000) == model.config.max_position_embeddings // 2
    pages = " ".join(["e", "f", "g", "h"] * 30)
    asked = asked_by([Example(1, document=Document(pages, {"a": "b"}))], Extraction(prompts={"default": "a b"}))
    [question] = questions_of(asked, tokenizer, 1, most)
    assert len(question.prompt_ids) == most
    left = tokenizer.decode(question.prompt_ids)
    assert left.startswith("Human : a b e f g h") and left.endswith("Assistant :")
    assert generate_answers(model, tokenizer, [question.prompt_ids], max_new_tokens=10, tokens_per_pass=1000)


def test_stop_between_batches_gets_through(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate_answers(model, tokenizer, prompts(), max_new_tokens=2, tokens_per_pass=10, between_batches=stop)
    with pytest.raises(KeyboardInterrupt):
        scores = TokenScores(model, logits_at_labels_only=True)
        measure_likelihood(scores, examples(), pad_id=1, tokens_per_pass=10, between_batches=stop)


def test_pieces_of_a_text_are_told_as_the_example_that_they_are(model: LlamaForCausalLM) -> None:
    told: list[tuple[int, int]] = []
    pieces = [replace(piece, continues=bool(number % 3)) for number, piece in enumerate(examples())]
    scores = TokenScores(model, logits_at_labels_only=True)
    measure_likelihood(scores, pieces, pad_id=1, tokens_per_pass=1, between_batches=lambda *at: told.append(at))
    assert len(told) == 9 and told[0] == (0, 3) and told[-1][0] <= 3
    assert [done for done, _ in told] == sorted(done for done, _ in told) and {total for _, total in told} == {3}


def test_exact_match_ignores_white_space_around_answers_only() -> None:
    assert exact_match([" yes", "no\n", "Yes", "y es"], ["yes ", "no", "yes", "yes"]) == 0.5


def test_questions_are_prompts_and_last_turns_but_no_plain_texts(tokenizer: PreTrainedTokenizerFast) -> None:
    turns = (
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
        {"role": "assistant", "content": "d"},
    )
    made = [
        Example(line=1, text="a b c"),
        Example(line=2, prompt="e f", completion=" g "),
        Example(line=3, messages=turns),
        Example(line=4, prompt="h", completion="i"),
    ]
    questions = questions_of(made, tokenizer, 2)
    assert [(question.prompt, question.expected) for question in questions] == [("e f", "g"), ("c", "d")]
    assert tokenizer.decode(questions[0].prompt_ids) == "Human : e f Assistant :"


def test_comparison_shows_both_models_on_the_same_questions(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    questions = questions_of([Example(line=n, prompt=f"a {n}", completion="b") for n in range(8)], tokenizer, 6)
    held_out = HeldOut(
        examples(), questions, tokenizer, tokens_per_pass=100, max_new_tokens=3, logits_at_labels_only=True
    )
    assessed = assess(model, held_out)
    document = comparison(assessed, assessed, questions)
    assert document["base"] == document["tuned"]
    assert document["tuned"].items() >= {"examples": 9, "generated": 6, "exact_match": 0.0}.items()
    assert len(document["samples"]) == 5
    assert document["samples"][0].keys() == {"prompt", "expected", "base", "tuned"}


def test_plain_texts_have_a_loss_and_no_exact_match(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    held_out = HeldOut(examples(), [], tokenizer, tokens_per_pass=100, max_new_tokens=3, logits_at_labels_only=True)
    figures = assess(model, held_out).figures
    assert figures["loss"] > 0
    assert (figures["exact_match"], figures["generated"]) == (None, 0)
