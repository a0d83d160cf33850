"""What runs: a model answers benchmarks, its answers are judged, compared and shown; and it is driven by other harnesses.

command_line   options of every ``minigemini eval ...``; run_options: those that several share
running        a suite -> predictions.jsonl -> results
judging        a language model behind a URL grades answers
reporting      what stands in a run: tables, comparison, one HTML page
drawing        drawing scored: GenEval, CLIP score, best of n
harnesses      the model in lmms-eval and VLMEvalKit
"""
