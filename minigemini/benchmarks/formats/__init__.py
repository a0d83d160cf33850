"""Questions, predictions and gold answers as other tools store them, read into our lines.

read           questions -> examples, checked before the first is answered
lines          our own predictions.jsonl, JSON and JSONL in general; own_lines: our own questions
llava          answers of LLaVA's evaluation scripts: question_id, prompt, text
llava_layout   LLaVA's playground/data/eval, and MGM-Eval
mgm            MGM's shards CHUNKS_IDX.jsonl, and its MMMU and MathVista rows, which bring their gold answers
mme_tool       a folder of MME's eval_tool: one file a task, image, question, gold and reply
lmms_eval      DATE_samples_TASK.jsonl of lmms-eval
vlmevalkit     VLMEvalKit's and OpenMMLab's tables of questions and of results (tsv or xlsx)
parquet        files as on the Hugging Face hub; hub: where they are
grades         what a judge said of the answers: MM-Vet, LLaVA-Bench, MathVista
gold           the benchmarks' own files of gold answers
join           which reply belongs to which gold answer; anything missing, twice or unknown is refused
image_folder   pictures that are files
"""
