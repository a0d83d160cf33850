"""HallusionBench (Guan et al. 2024): yes/no questions about figures, each asked of several figures of a set.

aAcc: all questions; fAcc: figures with all questions right; qAcc: questions right over all figures of their set.

- ``official``: evaluation_utils.py of tianyi-lab/HallusionBench: a judge says 0 (incorrect), 1 (correct) or 2 (unclear). Unclear
  is right for a "VS" question without its figure (figure 0), and those stay out of fAcc. Needs stored grades.
- ``vlmevalkit``: e8e78f0: yes/no words of the reply (read as MME's fixture proves), rows with images only.

Sets share figures and questions, so they, not single images, are drawn by the bootstrap. No fixture with verdicts; by hand.
"""

from collections.abc import Sequence

from minigemini.benchmarks.benchmark import Line
from minigemini.benchmarks.rules import yes_no
from minigemini.benchmarks.rules.circular import all_right
from minigemini.benchmarks.rules.verdict import UNANSWERED, UNASKED, Reading, Verdict, make_verdict, reference_of
from minigemini.benchmarks.statistics.metric import Metric, mean_points

PLACE = ("category", "subcategory", "set_id", "figure_id", "question_id")


def _placed(line: Line, points: float | None, reading: Reading) -> Verdict:
    category, subcategory, set_id, figure, question = (str(reference_of(line, key)) for key in PLACE)
    verdict = make_verdict(line, points, reading, together="/".join((category, subcategory, set_id, figure, question)))
    return Verdict(**{**vars(verdict), "kind": category, "image": f"{category}/{subcategory}/{set_id}"})


def rule(line: Line) -> Verdict:
    reading = yes_no.one_of_the_words(line["prediction"])
    gold = {"1": "yes", "0": "no"}.get(answer := str(reference_of(line, "answer")).strip().lower(), answer)
    return _placed(line, float(reading.answer == gold), reading)


def graded(line: Line) -> Verdict:
    """By ``line["grade"]``: 0, 1 or 2; None where the judge failed."""
    if "grade" not in line:
        return _placed(line, None, UNASKED)
    if line["grade"] is None:
        return _placed(line, None, UNANSWERED)
    grade = str(line["grade"])
    if grade not in ("0", "1", "2"):
        raise ValueError(f"row {line['id']!r}: the grade is {grade!r}; it must be 0, 1 or 2")
    blind = reference_of(line, "category") == "VS" and str(reference_of(line, "figure_id")) == "0"
    return _placed(line, float(grade == "1" or (grade == "2" and blind)), Reading(grade, "judge"))


def _regrouped(verdict: Verdict, keep: Sequence[int]) -> Verdict:
    parts = verdict.together.split("/")
    return Verdict(**{**vars(verdict), "together": "/".join(parts[i] for i in keep)})


def metrics(verdicts: Sequence[Verdict]) -> list[Metric]:
    def shows_figure(verdict: Verdict) -> bool:
        category, _, _, figure, _ = verdict.together.split("/")
        return not (category == "VS" and figure == "0")

    figures = [_regrouped(verdict, (0, 1, 2, 3)) for verdict in verdicts if shows_figure(verdict)]
    questions = [_regrouped(verdict, (0, 1, 2, 4)) for verdict in verdicts]
    figures_right = [all_right("fAcc", figures)] if figures else []
    return [mean_points("aAcc", verdicts), *figures_right, all_right("qAcc", questions)]
