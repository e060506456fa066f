"""``python -m afinador.cli``: the same as ``afinador``."""

import sys

from afinador.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
