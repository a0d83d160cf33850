"""Benchmarks: examples -> predictions.jsonl -> scores -> report.

    benchmark     what a benchmark is: examples in, rows of a table out
    tabletop      the nano's benchmark (one benchmark, one small file)
    predictions   the file a run writes line by line, resumes from, and never mixes with another run
    digest        what a model is and what it is shown, as digests
    predict       the model answers (batched, greedy)
    draw          the image generator draws, an oracle reads the drawing
    intervals     Wilson's 95 % interval
    suite         what to evaluate and the floors, from eval/suites/*.yaml
    report        table for the terminal, Markdown and JSON
    evaluate      all of it in a straight line: what ``minigemini eval`` calls
    scorers       the published benchmarks' rules, per protocol, as pure functions
    foreign       predictions and gold answers as other tools store them
    score         what ``minigemini eval score`` calls
    judging       what ``minigemini eval judge`` calls: grades of a language model, with the prompts of judge_prompts
    judge         its client: any OpenAI-compatible URL, every reply kept
    answering_model  a model that answers messages, for the two tools below
    lmms_eval_model  lmms-eval's view of it (entry point in lmms_eval_manifest); vlmevalkit_run, vlmevalkit_model: VLMEvalKit's
    loss_curves   the curves of the training stages as one PNG

Scoring reads only ``predictions.jsonl`` and imports no torch.
"""
