"""A model's own opinion of pictures: the probability of "yes" to questions about them."""

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from rich.progress import Progress

from minigemini.conversation import message
from minigemini.engine.local import LocalEngine
from minigemini.evaluation.running.digest import short
from minigemini.evaluation.running.evaluated_model import EvaluatedModel
from minigemini.evaluation.running.predictions import PredictionFile
from minigemini.media import open_image
from minigemini.tabletop.language import noun, parse_prompt, with_article

YES, NO = (tuple(form for word in words for form in (word, f" {word}")) for words in (("yes", "Yes"), ("no", "No")))


def tabletop_questions(prompt: str) -> list[str]:
    """In the nano's language: for everything that the prompt puts on the table, whether it is there. Places are not asked."""
    return [f"is there {with_article(noun(thing))}?" for thing in parse_prompt(prompt).things]


def plain_question(prompt: str) -> list[str]:
    """For models that speak English."""
    return [f"Does this picture show: {prompt}? Answer yes or no."]


def first_tokens(tokenizer: Any, forms: Sequence[str]) -> list[int]:
    """The tokens that answers in any of these forms begin with."""
    return sorted({tokenizer(form, add_special_tokens=False)["input_ids"][0] for form in forms})


def yes_and_no(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The tokens that begin a "yes", and those that begin a "no". What begins both, such as a space that is a token, says nothing.

    Raises:
        ValueError: nothing tells them apart; the tokenizer's model is named.
    """
    yes, no = (set(first_tokens(tokenizer, forms)) for forms in (YES, NO))
    if yes <= no or no <= yes:
        raise ValueError(
            f"{tokenizer.name_or_path}: its tokenizer begins yes and no alike, so it cannot be asked for either"
        )
    return sorted(yes - no), sorted(no - yes)


def yes_probabilities(engine: LocalEngine, asked: Sequence[tuple[Image.Image, str]]) -> list[float]:
    """P(yes) of P(yes) + P(no), of the first token of the answer to each question about a picture.

    Lin et al., "Evaluating Text-to-Visual Generation with Image-to-Text Generation" (VQAScore, ECCV 2024), take P(yes) alone.

    Raises:
        ValueError: as :func:`yes_and_no`.
    """
    sides = yes_and_no(engine.processor.tokenizer)
    logits = engine.first_token_logits([[message("user", text, [picture])] for picture, text in asked])
    yes_or_no = torch.stack([logits[:, tokens].logsumexp(-1) for tokens in sides], dim=-1)
    return yes_or_no.softmax(-1)[:, 0].tolist()


def judge_pictures(
    model: EvaluatedModel,
    lines: Sequence[Mapping[str, Any]],
    questions: Mapping[str, Sequence[str]],
    drawn: Path,
    folder: Path,
    progress: Progress,
) -> dict[str, float]:
    """The model's score of every picture, by id: the product of its P(yes) over the picture's questions.

    What is asked already is kept in ``folder/predictions.jsonl``; see :class:`PredictionFile`.

    Args:
        lines: of drawings; their pictures lie in ``drawn``.
        questions: of each line, by its id; at least one.
    """
    engine = LocalEngine(*model.loaded)
    keys = {
        line["id"]: {
            "picture": short((drawn / line["picture"]).read_bytes()),
            "questions": short(list(questions[line["id"]])),
        }
        for line in lines
    }
    file = PredictionFile(folder, keys, {**model.settings, "judged": "P(yes) / (P(yes) + P(no)), product"})
    task = progress.add_task("judged", total=len(lines))
    for start in range(0, len(lines), model.batch_size):
        batch = lines[start : start + model.batch_size]
        if not all(line["id"] in file for line in batch):
            asked = [(open_image(drawn / line["picture"]), text) for line in batch for text in questions[line["id"]]]
            answers = iter(yes_probabilities(engine, asked))
            made = []
            for line in batch:
                yes = [next(answers) for _ in questions[line["id"]]]
                made.append(
                    {"id": line["id"], "kind": line["kind"], "questions": list(questions[line["id"]]), "yes": yes}
                )
            file.append(made)
        progress.advance(task, len(batch))
    return {line["id"]: prod(line["yes"]) for line in file.finish()}
