"""One file per noun of the API; each offers a ``router``."""
