"""From an uploaded file to tensors.

``readers`` → ``shapes`` → ``validation`` are text alone: no tokenizer, no torch. ``templates`` and ``tokenisation`` are
handed a tokenizer. Only ``batching`` knows torch.
"""
