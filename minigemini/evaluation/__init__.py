"""Benchmarks: examples -> predictions.jsonl -> scores -> report.

What a run goes through

    command_line      options of every ``minigemini eval ...``
    suite             what to evaluate, from eval/suites/*.yaml
    evaluate          all of it in a straight line; evaluate_tabletop and evaluate_published are its parts
    ablate            the same rows with less of the pictures, or more
    benchmark         what a model is given to answer, and what a table's rows are made of
    tabletop          the nano's benchmark (written_prompt: what an answer says to the image generator)
    questions         the published benchmarks' data -> examples, in the words of a protocol
    stored_image      pictures that are opened when their question is answered
    view              what of its pictures a model is given
    load_model        the model that answers; share: which process answers what
    digest            what a model is and what it is shown, as digests
    predict           the model answers, in batches; draw: the image generator draws, an oracle reads the drawing
    predictions       the file a run writes line by line, resumes from, and never mixes with another run

What is made of predictions, without torch

    scorers           the published rules, per protocol, as pure functions
    foreign           predictions and gold answers as other tools store them
    score             what ``eval score`` calls
    judge             a language model behind a URL; judge_prompts and judging: what it is asked, and what is made of its replies
    judged_run        a run whose answers are judged, as diff and report read it
    diff              is B better than A? (paired: intervals and tests)
    report            the tabletop's table; report_page: a run as one HTML page (row_pictures: its pictures)
    published         numbers to hold a run against
    intervals, progress, loss_curves

    pictures          drawing scored: GenEval's rules, CLIP score, best of n, when to draw
    harnesses         the model in lmms-eval and VLMEvalKit
"""
