"""Drawing scored: when a model draws, what it writes, and what the pictures show.

    draw_decision          is a picture wanted? A labelled set with hard negatives (evaluate_draw_decision runs it)
    geneval                GenEval's rules on detections, as pure functions; geneval_detectors finds, geneval_run does it all
    clip_score             how well pictures fit their captions by a CLIP (clip_similarity)
    best_of_n              the model keeps the picture it likes best (self_judgement): the gain
    picture_results        the tables of these, and their results.json
    command_line           their commands

The prompts and drawings of the tabletop are scored by ``evaluation.tabletop``.
"""
