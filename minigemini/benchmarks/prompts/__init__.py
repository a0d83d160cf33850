"""The text of each benchmark's questions under each protocol: prompts are facts of a number as much as its rule is.

form        what a protocol says of a benchmark: text, images, length, decoding
llava       the tables of the LLaVA-1.5 and MGM papers
official    the benchmarks' own
lmms        lmms-eval's, where authors prescribe none
table       all of them, and which are unknown
harness     what lmms-eval and VLMEvalKit ask themselves, and by which command
"""
