# What type checkers see of the names that are looked up on first use; at run time nothing of it is imported.
from afinador.training.fine_tuner import FineTuner, Result

__all__ = ["FineTuner", "Result"]
