# What type checkers see of the names that are looked up on first use; at run time nothing of it is imported.
from afinador.client.asynchronous.client import AsyncAfinador
from afinador.client.client import Afinador

__all__ = ["Afinador", "AsyncAfinador"]
