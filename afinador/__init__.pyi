# What type checkers see of the names that are looked up on first use; at run time nothing of it is imported.
from afinador.client import Afinador, AsyncAfinador
from afinador.errors import AfinadorError

__version__: str
__all__ = ["Afinador", "AfinadorError", "AsyncAfinador", "__version__"]
