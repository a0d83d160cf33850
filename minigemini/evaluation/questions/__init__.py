"""The questions of published benchmarks, from the files they are published in, as a protocol asks them.

read           data -> examples, checked before the first is answered
question       a row before a protocol made a prompt of it
prompts        protocols' texts
llava_layout   LLaVA's playground/data/eval, and MGM-Eval
mathvista      testmini.json
tsv            VLMEvalKit's and OpenMMLab's tables
parquet        files as on the Hugging Face hub; ``columns`` says what is in them, ``hub`` where they are
own_lines      our own JSONL
image_folder   pictures that are files
"""

from minigemini.evaluation.questions.read import read_examples

__all__ = ["read_examples"]
