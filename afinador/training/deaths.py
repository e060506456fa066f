"""What is known when a training process was ended by a signal, and could say nothing itself."""

from __future__ import annotations

import signal
from pathlib import Path

from afinador.figures import size
from afinador.training.journals import now_ms, rows_after
from afinador.training.run_dir import RunDir

FRESH_MS = 30_000
"""An older sample of the machine's memory says nothing about the end; samples are taken every five seconds."""
SCARCE = 0.1
"""Below this part of the machine's memory a lack of it is told as the likely reason."""
REMEDY = "Try a smaller micro_batch_size or max_length, or gradient_checkpointing."
_KERNEL_COUNTERS = Path("/proc/vmstat")


def kills_for_memory() -> int:
    """Return how many processes the machine has ended for lack of memory since it started; 0 where it does not tell."""
    try:
        lines = _KERNEL_COUNTERS.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def ended_by_signal(run_dir: RunDir, number: int, kills_before: int) -> str:
    """Say how a training process ended, and of its memory only what was recorded.

    Args:
        run_dir: Of the run.
        number: Of the signal.
        kills_before: ``kills_for_memory`` when the process was started.
    """
    said = f"The training process was ended by signal {number}"
    if number != signal.SIGKILL:
        return f"{said} ({signal.strsignal(number) or 'unknown'}); see the job's log."
    if kills_for_memory() > kills_before:
        return f"{said}: the machine ran out of memory and ended processes meanwhile. {REMEDY}"
    said += " (kill -9, or the system where memory ran out)"
    rows, _ = rows_after(run_dir.path / "resources.jsonl", 0)
    memory = rows[-1] if rows else {}
    free, total = memory.get("host_memory_available_bytes"), memory.get("host_memory_bytes")
    if not free or not total or now_ms() - memory["timestamp_ms"] > FRESH_MS:
        return f"{said}; its memory was not recorded shortly before. If it ran out: {REMEDY[0].lower()}{REMEDY[1:]}"
    said += f"; {size(free)} of the machine's {size(total)} were free shortly before."
    return f"{said} {REMEDY}" if free < SCARCE * total else said
