"""Documents ranked by how well they fit a question: BM25, by the words that both have."""

from __future__ import annotations

import logging


class Ranking:
    """An index of documents.

    Args:
        documents: All that may be found, at least one.
    """

    def __init__(self, documents: list[str]) -> None:
        import bm25s  # numpy and a third of a second, for those who rank

        logging.getLogger("bm25s").setLevel(logging.WARNING)
        self._documents = documents
        self._tokenise = bm25s.tokenize
        self._index = bm25s.BM25()
        self._index.index(self._words(documents), show_progress=False)

    def best(self, questions: list[str], count: int) -> list[list[str]]:
        """Return for each question its best documents, the best first; at most ``count``."""
        count = min(count, len(self._documents))
        found, _ = self._index.retrieve(self._words(questions), k=count, show_progress=False)
        return [[self._documents[int(place)] for place in places] for places in found]

    def _words(self, texts: list[str]) -> list[list[str]]:
        # One word that is in every text keeps those that have no other from being empty, which the index cannot hold.
        lowered = self._tokenise(texts, stopwords=[], return_ids=False, show_progress=False)
        return [[*words, ""] for words in lowered]
