"""Makes the storage's disk full at a byte, in every process that finds this folder in ``PYTHONPATH``.

While ``AFINADOR_HOME/storage-fits-bytes`` holds a number, a file that is copied into the storage fits so many bytes of
it; what is written beyond ends as the system ends it.
"""

import errno
import os
import shutil
from pathlib import Path
from typing import Any

_HOME = Path(os.environ.get("AFINADOR_HOME", "/nowhere"))
_copy_whole = shutil.copyfile


def _copy(source: Any, target: Any, **more: Any) -> Any:
    limit = _HOME / "storage-fits-bytes"
    if _HOME / "storage" not in Path(target).parents or not limit.exists():
        return _copy_whole(source, target, **more)
    fits, content = int(limit.read_text()), Path(source).read_bytes()
    Path(target).write_bytes(content[:fits])
    if len(content) > fits:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
    return target


shutil.copyfile = _copy
