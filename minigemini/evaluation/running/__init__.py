"""A suite is answered.

suite             what to evaluate, from eval/suites/*.yaml
rows              the rows of a suite's parts, read before anything is answered
evaluate          all of it in a straight line; evaluate_part: one benchmark, its controls and drawings
ablate            the same rows with less of the pictures, or more (view)
evaluated_model   the model that answers; share: which process answers what
predict           the model answers, in batches
predictions       the file a run writes line by line, resumes from, and never mixes with another run
digest            what a model is and what it is shown, as digests
"""
