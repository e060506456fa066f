"""The organisation's hub: what jobs and checkpoints published, version by version."""
