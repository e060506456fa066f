import pytest
import torch

from afinador.data.tokens.batching import WINDOW_BATCHES, collate, epoch_batches, micro_batches, pad_id_of
from afinador.data.tokens.tokenisation import TokenisedExample
from afinador.errors import DataError, ModelError

LENGTHS = [(at * 7919) % 211 + 1 for at in range(1003)]


def batches_of(**changed):
    return epoch_batches(LENGTHS, 8, **{"seed": 1, "epoch": 0, "group_by_length": True, **changed})


@pytest.mark.parametrize("grouped", [True, False])
@pytest.mark.parametrize("batch_size", [1, 8, 256, 5000])
def test_epoch_has_every_index_once_and_only_the_last_batch_short(grouped, batch_size):
    batches = epoch_batches(LENGTHS, batch_size, seed=3, epoch=2, group_by_length=grouped)
    assert sorted(index for batch in batches for index in batch) == list(range(len(LENGTHS)))
    assert all(len(batch) == batch_size for batch in batches[:-1]) and len(batches[-1]) <= batch_size


@pytest.mark.parametrize("grouped", [True, False])
def test_epoch_is_decided_by_seed_and_epoch(grouped):
    first = batches_of(group_by_length=grouped)
    assert first == batches_of(group_by_length=grouped)
    assert first != batches_of(group_by_length=grouped, seed=2)
    assert first != batches_of(group_by_length=grouped, epoch=1)


def test_grouping_saves_most_of_the_padding_and_keeps_batches_mixed():
    def padding(batches):
        return sum(max(LENGTHS[at] for at in batch) - LENGTHS[index] for batch in batches for index in batch)

    assert padding(batches_of()) < 0.1 * padding(batches_of(group_by_length=False))
    longest = [max(LENGTHS[at] for at in batch) for batch in batches_of()[:WINDOW_BATCHES]]
    assert longest != sorted(longest)


def test_no_examples_give_no_batches():
    assert epoch_batches([], 4, seed=0, epoch=0, group_by_length=True) == []


def test_micro_batches_part_a_batch_longest_first():
    batch = batches_of(group_by_length=False)[0]
    parts = micro_batches(batch, LENGTHS, 3)
    assert [len(part) for part in parts] == [3, 3, 2]
    order = [index for part in parts for index in part]
    assert sorted(order) == sorted(batch)
    assert [LENGTHS[at] for at in order] == sorted((LENGTHS[at] for at in batch), reverse=True)


def test_collate_pads_to_the_right_with_masked_labels():
    batch = collate([TokenisedExample([5, 6, 2], [-100, 6, 2]), TokenisedExample([7, 2], [-100, 2])], pad_id=2)
    assert batch.input_ids.tolist() == [[5, 6, 2], [7, 2, 2]]
    assert batch.attention_mask.tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch.labels.tolist() == [[-100, 6, 2], [-100, 2, -100]]
    assert all(tensor.dtype == torch.int64 for tensor in dict(**batch).values())
    assert set(dict(**batch.to("cpu"))) == {"input_ids", "attention_mask", "labels"}


def test_collate_of_nothing_is_refused():
    with pytest.raises(DataError):
        collate([], 0)


def test_pad_id_is_the_pad_token_else_eos(characters, sentencepiece):
    assert pad_id_of(sentencepiece) == sentencepiece.eos_token_id
    sentencepiece.pad_token = "<unk>"
    assert pad_id_of(sentencepiece) == sentencepiece.unk_token_id
    characters.eos_token = characters.pad_token = None
    with pytest.raises(ModelError):
        pad_id_of(characters)
