"""``minigemini eval judge``: lines of predictions -> the same lines with what a judge says, as the scorers read it.

MM-Vet, LLaVA-Bench and HallusionBench get a ``grade``, MathVista and MMBench an ``extraction``; ``judge`` beside it names the
model and the prompt. A reply that cannot be understood is stored as such: the judge failed on that row. That is no grade of 0,
and with more than 1 % of such rows ``eval score`` gives no number.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import Any

from minigemini.benchmarks.benchmark import Line
from minigemini.benchmarks.rules import mathvista, option_letter
from minigemini.benchmarks.rules.verdict import NOTHING, reference_of
from minigemini.benchmarks.score import OWN_PROMPT, read_lines
from minigemini.evaluation.judging import prompts as judge_prompts
from minigemini.evaluation.judging.client import Judge, Messages, RefusedRequest
from minigemini.evaluation.running.predictions import to_json
from minigemini.progress import progress_bar

AT_ONCE = 8  # requests

Said = dict[str, Any]
"""What is added to a line: ``grade`` or ``extraction``, and the ``model`` that said it."""
Ask = Callable[[str, float, int], "tuple[str, str]"]
"""(prompt, temperature, most tokens) -> (reply, name of the model)."""


@dataclass(frozen=True)
class Judged:
    """How a benchmark is judged.

    Attributes:
        prompt: our own; see :mod:`judge_prompts`.
        fields: what every prompt of this benchmark must hold, from a line.
        judge: asks, once or more, and understands.
        failed: what is stored where the judge said nothing that can be understood.
        needed: whether the rule without a judge leaves this line to it.
        system: a first message that every prompt has.
        protocol: the one that scores by what the judge says.
    """

    prompt: str
    fields: Callable[[Line], dict[str, str]]
    judge: Callable[[Ask, str, Line], Said]
    failed: Said
    needed: Callable[[Line], bool] = lambda line: True
    system: str = ""
    protocol: str = "llava"


def question_of(line: Line) -> str:
    """The bare question where the gold answers bring it, else what stood in the predictions. The model's prompt is none: with
    system text, options and the request for a letter it would make another number of the same benchmark.
    """
    question = line["reference"].get("question") or line.get("question")
    if question:
        return question
    raise ValueError(f"row {line['id']!r}: nothing says its 'question'; give the gold answers with --gold")


def with_answer(line: Line) -> dict[str, str]:
    return {
        "question": question_of(line),
        "answer": str(reference_of(line, "answer")),
        "prediction": line["prediction"],
    }


MMVET_TEMPERATURES = (0.0, 0.0, 0.5, 1.0, 1.5)
MMVET_AGAIN = "\nPredict the correctness of the answer (digit): "


def mmvet_fields(line: Line) -> dict[str, str]:
    fields = with_answer(line)
    return fields | {"answer": fields["answer"].replace("<AND>", " <AND> ").replace("<OR>", " <OR> ")}


def judge_mmvet(ask: Ask, prompt: str, line: Line) -> Said:
    """The first word as a number in 0..1; five tries at rising temperature, all but the first with another sentence behind the
    prompt (yuweihao/MM-Vet acde843). The tool then says 0.0; here the judge failed. It asks for 3 tokens at most, which is
    "0.7" to GPT-4 and "0." to some others; the grade is the first word anyway, so there is room for 8.
    """
    for number, temperature in enumerate(MMVET_TEMPERATURES):
        reply, model = ask(prompt + (MMVET_AGAIN if number else ""), temperature, 8)
        grade = as_grade(reply)
        if grade is not None:
            return {"grade": {"model": [model], "content": [reply], "score": [grade]}, "model": model}
    return {"grade": {"model": [model], "content": [reply], "score": [None]}, "model": model}


def as_grade(reply: str) -> float | None:
    try:
        grade = float((reply.split() or [""])[0])
    except ValueError:
        return None
    return grade if 0 <= grade <= 1 else None


def llava_bench_fields(line: Line) -> dict[str, str]:
    """``answer`` is GPT-4's, from the description of the picture, which is ``context``."""
    return with_answer(line) | {"context": str(reference_of(line, "context"))}


def judge_llava_bench(ask: Ask, prompt: str, line: Line) -> Said:
    """Temperature 0.2, 1024 tokens, one try (LLaVA c121f04). The scorer reads the two grades off the first line."""
    review, model = ask(prompt, 0.2, 1024)
    return {"grade": {"content": review}, "model": model}


def mathvista_fields(line: Line) -> dict[str, str]:
    return {"question": question_of(line), "prediction": line["prediction"]}


def mathvista_needed(line: Line) -> bool:
    return mathvista.exactly(line["prediction"], line["reference"]) is NOTHING


def judge_mathvista(ask: Ask, prompt: str, line: Line) -> Said:
    """What the scorer reads as the published one does, but for "none", which there would be taken for the choice nearest to that
    word. Nothing is asked about an empty reply, as in the tool.
    """
    if not line["prediction"].strip():
        return {"extraction": "", "no_answer": True}
    extraction, model = ask(prompt, 0.0, 256)
    extraction = extraction.strip()
    if extraction.lower().rstrip(".") == "none" and extraction not in line["reference"]["choices"]:
        return {"extraction": "", "no_answer": True, "model": model}
    return {"extraction": extraction, "model": model}


def hallusionbench_fields(line: Line) -> dict[str, str]:
    """The tool compares with the answer in words (gt_answer_details)."""
    answer = line["reference"].get("answer_details") or reference_of(line, "answer")
    return {"question": question_of(line), "answer": str(answer), "prediction": line["prediction"]}


def judge_hallusionbench(ask: Ask, prompt: str, line: Line) -> Said:
    """ "incorrect" anywhere is 0, else "correct" 1 (tianyi-lab/HallusionBench 08e51de). The tool takes everything else for 2,
    unclear, which is right for some questions; here "unclear" must have been said. The tool leaves the temperature to the server; here 0.
    """
    reply, model = ask(prompt, 0.0, 256)
    found = [grade for word, grade in (("incorrect", 0), ("correct", 1), ("unclear", 2)) if word in reply.lower()]
    return {"grade": found[0] if found else None, "model": model}


def mmbench_fields(line: Line) -> dict[str, str]:
    choices = reference_of(line, "choices")
    options = "\n".join(f"{letter}. {text}" for letter, text in zip(option_letter.LETTERS, choices, strict=False))
    return {"question": question_of(line), "choices": options, "prediction": line["prediction"]}


def mmbench_needed(line: Line) -> bool:
    return option_letter.vlmevalkit(line["prediction"], reference_of(line, "choices")) is NOTHING


def judge_mmbench(ask: Ask, prompt: str, line: Line) -> Said:
    """The judge's reply is read by the same rule as the model's; "Z" is no option (VLMEvalKit e8e78f0). One try; where the tool
    guesses, the judge failed.
    """
    reply, model = ask(prompt, 0.0, 16)
    return {"extraction": option_letter.vlmevalkit(reply, reference_of(line, "choices")).answer or "", "model": model}


MMBENCH = Judged(judge_prompts.MMBENCH, mmbench_fields, judge_mmbench, {"extraction": ""}, mmbench_needed)
JUDGED = {
    "mmvet": Judged(judge_prompts.MMVET, mmvet_fields, judge_mmvet, {"grade": {"score": [None]}}),
    "llava_bench": Judged(
        judge_prompts.LLAVA_BENCH,
        llava_bench_fields,
        judge_llava_bench,
        {"grade": {"content": ""}},
        system="You are a helpful and precise assistant for checking the quality of the answer.",  # LLaVA c121f04
    ),
    "mathvista": Judged(
        judge_prompts.MATHVISTA, mathvista_fields, judge_mathvista, {"extraction": ""}, mathvista_needed
    ),
    "hallusionbench": Judged(
        judge_prompts.HALLUSIONBENCH, hallusionbench_fields, judge_hallusionbench, {"grade": None}, protocol="official"
    ),
    "mmbench": MMBENCH,
    "mmbench_cn": MMBENCH,
}


def filled(prompt: str, fields: dict[str, str], name: str) -> str:
    """``prompt`` with its fields in place; what is in a field is never looked at for further ones.

    Raises:
        ValueError: it holds a field that there is not, or lacks one that there is.
    """
    try:
        held = {field for _, field, _, _ in Formatter().parse(prompt) if field is not None}
    except ValueError as error:
        raise ValueError(f"{name}: {error}; a brace that is meant as such is doubled") from None
    known = ", ".join(f"{{{field}}}" for field in fields)
    for what, wrong in (("unknown", held - fields.keys()), ("missing", fields.keys() - held)):
        if wrong:
            raise ValueError(f"{name}: the field {{{min(wrong)}}} is {what}; the fields are {known}")
    return prompt.format(**fields)


def judge_file(
    benchmark: str,
    file: Path,
    url: str,
    model: str,
    cache: Path,
    out: Path,
    gold: Path | None = None,
    format: str = "minigemini",
    prompt_file: Path | None = None,
) -> int:
    """``minigemini eval judge``: writes the judged lines of ``file`` to ``out``. The exit code: 0.

    Args:
        url, model, cache: see :class:`minigemini.evaluation.judging.client.Judge`.
        prompt_file: a prompt instead of ours.

    Raises:
        ValueError: the benchmark has no judge, the lines are judged already or lack what the prompt needs, or the judge
            cannot be asked; what it said until then is in ``cache``.
        FileNotFoundError: a file is not there.
    """
    if benchmark not in JUDGED:
        raise ValueError(f"{benchmark!r} has no judge; those that have one are {', '.join(JUDGED)}")
    if out.resolve() in (file.resolve(), cache.resolve()):
        raise ValueError(f"{out}: is read as well; choose another --out")
    if prompt_file is not None and not prompt_file.exists():
        raise FileNotFoundError(f"{prompt_file}: no such file")
    template = JUDGED[benchmark].prompt if prompt_file is None else prompt_file.read_text(encoding="utf-8")
    prompt = {
        "name": OWN_PROMPT if prompt_file is None else prompt_file.name,
        "sha256": hashlib.sha256(template.encode()).hexdigest()[:12],
    }
    lines = read_lines(benchmark, file, gold, format)
    with Judge(url, model, cache) as judge:
        judged = judge_lines(benchmark, lines, judge, template, prompt)
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text("".join(map(to_json, judged)), encoding="utf-8")
    refused = [line for line in judged if "refused" in line.get("judge", {})]
    answered = sum("judge" in line for line in judged) - len(refused)
    print(f"{answered} of {len(lines)} rows judged by {model}, {judge.asked} new replies; written: {out}")
    if refused:
        print(f"the server refused {len(refused)} rows, such as {refused[0]['id']!r}: {refused[0]['judge']['refused']}")
    print(
        f"the score: minigemini eval score {benchmark} {shlex.quote(str(out))} --protocol {JUDGED[benchmark].protocol}"
    )
    return 0


def judge_lines(
    benchmark: str, lines: Sequence[Line], judge: Judge, template: str, prompt: dict[str, str]
) -> list[dict[str, Any]]:
    """The lines in their order, judged.

    Args:
        template: with the fields of the benchmark in braces.
        prompt: what is stored of it: name and sha256.
    """
    how = JUDGED[benchmark]
    done = [line["id"] for line in lines if "grade" in line or "extraction" in line]
    if not lines:
        raise ValueError(f"{benchmark}: no rows")
    if done:
        raise ValueError(f"row {done[0]!r} is judged already; give the predictions themselves")
    needed = [number for number, line in enumerate(lines) if how.needed(line)]
    prompts = {number: filled(template, how.fields(lines[number]), prompt["name"]) for number in needed}
    judged = [dict(line) for line in lines]

    def ask(text: str, temperature: float, max_tokens: int) -> tuple[str, str]:
        system: Messages = [{"role": "system", "content": how.system}] if how.system else []
        reply = judge.ask([*system, {"role": "user", "content": text}], temperature, max_tokens)
        return reply.text, reply.model

    def said(number: int) -> Said:
        try:
            found = how.judge(ask, prompts[number], lines[number])
        except RefusedRequest as error:
            return {**how.failed, "judge": {"model": judge.model, "prompt": prompt, "refused": str(error)}}
        model = found.pop("model", None)
        return found if model is None else {**found, "judge": {"model": model, "prompt": prompt}}

    pool = ThreadPoolExecutor(AT_ONCE)
    with progress_bar() as progress:
        task = progress.add_task(f"asking {judge.model}", total=len(needed))
        try:
            asked = {pool.submit(said, number): number for number in needed}
            for future in as_completed(asked):
                judged[asked[future]] |= future.result()
                progress.advance(task)
        finally:  # after an error or Ctrl-C nothing more is asked
            judge.stop()
            pool.shutdown(cancel_futures=True)
    return judged
