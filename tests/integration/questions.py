"""The specification's example: a base model ``bert-base-uncased`` and the file ``qa_data.csv``."""

from __future__ import annotations

import csv
import io
import random
import time
from pathlib import Path

from transformers import AutoTokenizer, BertConfig, BertForMaskedLM, PreTrainedTokenizerBase
from transformers import BertTokenizer as WordPiece

from tests.integration.stack import Stack

PARTS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "where", "is", "my", "order", "how", "do", "i", "pay", "re",
         "##turn", "##ed", "it", "card", "cash", "late", "parcel", "with", "?")  # fmt: skip
QUESTIONS = {
    "delivery": ("where is my parcel ?", "where is my order ?", "is my parcel late ?"),
    "payment": ("how do i pay ?", "do i pay with card ?", "pay with cash ?"),
    "return": ("how do i return it ?", "where do i return my order ?", "is it returned ?"),
}
MODEL = "bert-base-uncased"


def model_folder(stack: Stack) -> Path:
    """Return where the base model lies, below the service's allowed roots."""
    return stack.home / "roots" / MODEL


def prepare(stack: Stack) -> None:
    """Register the base model and upload the file, unless that was done for this stack.

    The BERT has random weights, and its real vocabulary where that is at hand, else one of a few pieces.
    """
    with stack.http() as http:
        if http.get(f"/models/{MODEL}").is_success:
            return
        _write_model(stack)
        http.post("/models", json={"name": MODEL, "source": str(model_folder(stack))}).raise_for_status()
        http.post("/files", files={"file": ("qa_data.csv", _rows())}, data={"purpose": "fine-tune"}).raise_for_status()
        while http.get(f"/models/{MODEL}").json()["status"] != "ready":
            time.sleep(0.1)


def _write_model(stack: Stack) -> None:
    real = stack.root.parent / "shared" / "data" / "tokenizers" / MODEL
    tokenizer: PreTrainedTokenizerBase
    if real.is_dir():
        tokenizer = AutoTokenizer.from_pretrained(real)
    else:
        tokenizer = WordPiece(vocab={part: number for number, part in enumerate(PARTS)})
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
    )
    BertForMaskedLM(config).save_pretrained(model_folder(stack))
    tokenizer.save_pretrained(model_folder(stack))


def _rows() -> bytes:
    rows = [(text, label) for label, texts in QUESTIONS.items() for text in texts] * 4
    random.Random(0).shuffle(rows)
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows([("text", "label"), *rows])
    return stream.getvalue().encode()
