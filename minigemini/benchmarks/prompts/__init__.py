"""The text of each benchmark's questions under each protocol: prompts are facts of a number as much as its rule is.

form        what a protocol says of a benchmark: text, images, length, decoding
llava       the tables of the LLaVA-1.5 and MGM papers
lmms        lmms-eval
vlmevalkit  VLMEvalKit
official    the benchmarks' own
table       all of them, and which are unknown
"""
