"""From the file that a person has to the tensors that training takes.

``files`` reads any format into records, and writes some; ``shapes`` says what records may be; ``checks``, ``validation``
and ``verdicts`` judge them; ``preparation`` takes them through declared steps. All of these are text alone: no tokenizer,
no torch. ``tokens`` is what a model sees of records: it is handed a tokenizer, and only its ``batching`` knows torch.
"""
