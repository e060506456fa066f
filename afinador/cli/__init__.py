"""The command line over the SDK: verb, noun, options.

Each module holds the commands of one subject as a list ``COMMANDS``; ``catalogue`` joins them, ``grammar`` finds the
one that was typed, ``main`` runs it. What takes long to import (httpx, pydantic, rich, YAML) is imported by the command
that needs it.
"""
