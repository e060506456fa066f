"""How far a file has been read, whichever reader reads it: the system knows of every open file."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_OPEN_FILES = Path("/proc/self/fd")


def bytes_read(path: Path) -> int | None:
    """Return up to which byte this process has read a file that it has open, of compressed ones as they lie there.

    None where it has not opened the file, as with a folder or a table that another process reads, or where the system
    does not tell (https://man7.org/linux/man-pages/man5/proc_pid_fdinfo.5.html).
    """
    wanted = os.path.realpath(path)
    positions = []
    with suppress(OSError):
        for descriptor in _OPEN_FILES.iterdir():
            with suppress(OSError, ValueError):
                if os.readlink(descriptor) == wanted:
                    told = (_OPEN_FILES.parent / "fdinfo" / descriptor.name).read_text()
                    positions.append(int(told.partition("pos:")[2].split()[0]))
    return max(positions, default=None)
