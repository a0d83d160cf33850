"""`python -m minigemini ...`, and so `torchrun -m minigemini train ...`."""

import sys

from minigemini.cli import main

if __name__ == "__main__":  # data workers that are spawned import this module again
    sys.exit(main())
