"""The life of a job that exists: every change of its state, its attempts, events and checkpoints."""
