"""From an uploaded file to tensors.

``readers`` → ``shapes`` → ``validation``, and ``labels``, are text alone: no tokenizer, no torch. ``templates``,
``tokenisation`` and ``classified`` are handed a tokenizer. Only ``batching`` knows torch.
"""
