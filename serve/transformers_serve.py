"""``transformers serve`` for our checkpoints: ``python serve/transformers_serve.py FOLDER --port 8000``.

It asks ``transformers`` itself for the class that a configuration names, and has no hook by which a package could bring one.
"""

import sys

import transformers
from transformers.cli.transformers import main

from minigemini import MiniGeminiForConditionalGeneration

if __name__ == "__main__":
    transformers.MiniGeminiForConditionalGeneration = MiniGeminiForConditionalGeneration  # type: ignore[attr-defined]
    sys.argv[:1] = ["transformers", "serve"]
    main()
