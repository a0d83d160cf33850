"""The formula that defines patch info mining, computed as it is written: what the package is measured against.

There is one such reference, the one the tests hold the package to, and it is not packaged: what is measured here is what
is proved there.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "tests" / "model"))

from mining_definition import mined_tokens  # noqa: E402

__all__ = ["mined_tokens"]
