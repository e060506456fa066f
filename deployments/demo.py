"""The main job on real input: ``make demo``.

Starts the stack on a home of its own, uploads the project's example data, fine-tunes the project's tiny base model with
LoRA, prints base against tuned, and stops everything.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from afinador.cli import watching
from afinador.client import Afinador
from afinador.config.resolve import read_document
from afinador.errors import AfinadorError, NotFoundError, ServiceUnavailableError
from deployments.home import StackFile

ROOT = Path(__file__).parent.parent
HOME = ROOT / ".demo"
EXAMPLES = ROOT / "examples"
OUTPUT_MODEL = "order-reader"
"""Hub name of what the demo makes."""
READY_TIMEOUT_SECONDS = 180
MODEL_TIMEOUT_SECONDS = 3600
STOP_TIMEOUT_SECONDS = 60

console = Console(highlight=False)
