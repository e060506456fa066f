"""What a model sees of records: templates, token ids and what is learnt of them, batches, and all that is kept of it."""
