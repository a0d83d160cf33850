"""Which form a benchmark's questions take under which protocol.

Refused, with what to do instead: ``lmms`` and ``vlmevalkit`` where the tool itself asks our model (:mod:`harness`); ``vqav2@official``,
``docvqa@official``, ``docvqa@paper``, ``infovqa@official`` and ``infovqa@paper`` (their authors prescribe no prompt), ``mmmu@eval-only``
(a rule for files of final answers). Predictions made elsewhere with any prompt can be scored under them.
"""

from __future__ import annotations

from minigemini.benchmarks.prompts import harness, llava, lmms, official
from minigemini.benchmarks.prompts.form import Form
from minigemini.benchmarks.question import Question

FORMS: dict[str, dict[str, Form]] = {
    "llava": llava.FORMS,
    "mgm": llava.MGM,
    "rules": llava.RULES,
    "lmms": lmms.FORMS,
    "official": official.FORMS,
}
SAME_PROMPT = {"mgm": "llava", "rules": "llava"}  # protocols that differ in decoding or reading only


def form_of(benchmark: str, protocol: str) -> Form:
    """
    Raises:
        ValueError: another tool asks under this protocol, or its prompt for this benchmark is not known.
    """
    found = FORMS.get(protocol, {}).get(benchmark)
    if found is None:
        commands = harness.commands_of(benchmark, protocol)
        if commands is not None:
            raise ValueError(f"{benchmark}@{protocol}: the tool itself asks our model: {commands}")
        known = ", ".join(name for name, forms in FORMS.items() if benchmark in forms) or "none"
        raise ValueError(
            f"{benchmark}@{protocol}: its prompts are not known, so it cannot be run (prompts are known for: {known}); "
            f"predictions made elsewhere can be scored with `minigemini eval score {benchmark} --protocol {protocol}`"
        )
    return found


def text_of(question: Question, form: Form, protocol: str) -> str:
    """The text of the user's turn.

    Raises:
        ValueError: the data has another protocol's prompts only, or lacks what this one needs.
    """
    if question.prompt is None:
        return form.text(question)
    if question.prompt_of not in (None, SAME_PROMPT.get(protocol, protocol)):
        raise ValueError(
            f"{question.place}: this file holds the prompts of {question.prompt_of}; for the protocol {protocol} bare questions "
            "are needed: give parquet files, VLMEvalKit's tsv or our own lines (.jsonl)"
        )
    return question.prompt
