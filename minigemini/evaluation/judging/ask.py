"""``minigemini eval judge``: lines of predictions -> the same lines with what a judge says, as the scorers read it.

MM-Vet, LLaVA-Bench and HallusionBench get a ``grade``, MathVista and MMBench an ``extraction``; ``judge`` beside it names the
model and the prompt. A reply that cannot be understood is stored as such: the judge failed on that row. That is no grade of 0,
and with more than 1 % of such rows ``eval score`` gives no number.
"""

import hashlib
import shlex
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from string import Formatter
from typing import Any

from minigemini.benchmarks.benchmark import Line
from minigemini.benchmarks.judge import Judge as HowToJudge
from minigemini.benchmarks.judge import Said
from minigemini.benchmarks.names import BENCHMARKS
from minigemini.benchmarks.score import OWN_PROMPT, Predictions, read_lines
from minigemini.evaluation.judging.client import Judge, Messages, RefusedRequest
from minigemini.evaluation.running.predictions import to_json
from minigemini.progress import progress_bar

AT_ONCE = 8  # requests


def fill(prompt: str, fields: dict[str, str], name: str) -> str:
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


def judge_of(benchmark: str) -> HowToJudge:
    """Raises ValueError: no such benchmark, or it has no judge."""
    judged = {name: one.judge for name, one in BENCHMARKS.items() if one.judge is not None}
    if benchmark not in judged:
        raise ValueError(f"{benchmark!r} has no judge; those that have one are {', '.join(judged)}")
    return judged[benchmark]


def judge_file(
    benchmark: str,
    predictions: Predictions,
    url: str,
    model: str,
    cache: Path,
    out: Path,
    prompt_file: Path | None = None,
) -> int:
    """``minigemini eval judge``: writes the judged lines to ``out``. The exit code: 0.

    Args:
        url, model, cache: see :class:`minigemini.evaluation.judging.client.Judge`.
        prompt_file: a prompt instead of ours.

    Raises:
        ValueError: the benchmark has no judge, the lines are judged already or lack what the prompt needs, or the judge
            cannot be asked; what it said until then is in ``cache``.
        FileNotFoundError: a file is not there.
    """
    how = judge_of(benchmark)
    if out.resolve() in (predictions.file.resolve(), cache.resolve()):
        raise ValueError(f"{out}: is read as well; choose another --out")
    if prompt_file is not None and not prompt_file.exists():
        raise FileNotFoundError(f"{prompt_file}: no such file")
    template = how.prompt if prompt_file is None else prompt_file.read_text(encoding="utf-8")
    prompt = {
        "name": OWN_PROMPT if prompt_file is None else prompt_file.name,
        "sha256": hashlib.sha256(template.encode()).hexdigest()[:12],
    }
    lines = read_lines(benchmark, predictions)
    with Judge(url, model, cache) as judge:
        judged = judge_lines(benchmark, lines, judge, template, prompt)
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text("".join(map(to_json, judged)), encoding="utf-8")
    refused = [line for line in judged if "refused" in line.get("judge", {})]
    answered = sum("judge" in line for line in judged) - len(refused)
    print(f"{answered} of {len(lines)} rows judged by {model}, {judge.asked} new replies; written: {out}")
    if refused:
        print(f"the server refused {len(refused)} rows, such as {refused[0]['id']!r}: {refused[0]['judge']['refused']}")
    print(f"the score: minigemini eval score {benchmark} {shlex.quote(str(out))} --protocol {how.protocol}")
    return 0


def judge_lines(
    benchmark: str, lines: Sequence[Line], judge: Judge, template: str, prompt: dict[str, str]
) -> list[dict[str, Any]]:
    """The lines in their order, judged.

    Args:
        template: with the fields of the benchmark in braces.
        prompt: what is stored of it: name and sha256.
    """
    how = judge_of(benchmark)
    done = [line["id"] for line in lines if "grade" in line or "extraction" in line]
    if not lines:
        raise ValueError(f"{benchmark}: no rows")
    if done:
        raise ValueError(f"row {done[0]!r} is judged already; give the predictions themselves")
    needed = [number for number, line in enumerate(lines) if how.needed(line)]
    prompts = {number: fill(template, how.fields(lines[number]), prompt["name"]) for number in needed}
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
