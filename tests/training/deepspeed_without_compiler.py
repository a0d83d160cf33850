"""``torchrun tests/training/deepspeed_without_compiler.py ARGUMENTS`` is ``torchrun -m minigemini ARGUMENTS``, but DeepSpeed's
CPU accelerator does not compile its shared-memory collectives first, which takes a C++ compiler and a minute; gloo does."""

import sys

import deepspeed

from minigemini.cli import main

if __name__ == "__main__":
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    sys.exit(main())
