"""Published scoring rules as pure functions: no torch, no network, no clock, no randomness that was not asked for.

    verdict             one answer judged, and the path by which it was understood
    vqa_soft_accuracy   TextVQA, VQAv2, VizWiz
    anls                DocVQA, InfoVQA
    relaxed_accuracy    ChartQA
    containment         OCRBench
    exact_match         GQA, RealWorldQA
    yes_no, pope, mme, hallusionbench
    option_letter       how each tool reads a letter (scienceqa: LLaVA's); SEED-Bench, AI2D, MMStar, BLINK, MMBench
    lmms_letter         how lmms-eval reads it
    circular            MMBench: a question counts when all its rotations are right
    mmmu, mathvista
    mmvet, llava_bench  from stored grades of a judge

A rule takes a line of predictions (:data:`minigemini.benchmarks.benchmark.Line`) and returns a :class:`verdict.Verdict`.
"""
