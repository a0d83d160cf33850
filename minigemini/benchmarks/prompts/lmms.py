"""Prompts of lmms-eval's tasks (0.7.3, default settings) for benchmarks whose authors prescribe none: tables print these.

Those of its other tasks are not repeated here: lmms-eval itself asks our model (:mod:`minigemini.benchmarks.prompts.harness`).
"""

from __future__ import annotations

from minigemini.benchmarks.prompts.form import SHORT, Form, followed_by, lettered

FORMS = {
    "ai2d": Form(lettered, 16),
    "chartqa": Form(followed_by("\nAnswer the question with a single word."), 16),
    "docvqa": Form(followed_by(SHORT), 32),
    "infovqa": Form(followed_by(SHORT), 32),
}
