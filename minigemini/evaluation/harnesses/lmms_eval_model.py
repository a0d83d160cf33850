"""The model as lmms-eval (0.7.3) drives it: ``lmms-eval --model minigemini --model_args pretrained=nano,batch_size=4 --tasks ...``

- Requests with equal decoding share batches, longest first; replies come back in the order of the requests.
- ``until``: lmms-eval sets it to a blank line in every task that does not say otherwise, which would cut replies of several
  paragraphs, and most of its own models ignore it. A blank line alone is ignored here too, and said; what a task sets
  itself is where the reply is cut.
- Sampled replies are decoded one by one, each with a seed of its row, so they depend neither on batches nor on the number
  of processes. ``--seed`` moves all of them.
- Tasks that need likelihoods or several rounds are refused; see :class:`ChatModel`.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import torch
from accelerate import Accelerator
from lmms_eval.api.instance import Instance
from lmms_eval.api.model import lmms
from lmms_eval.protocol import ChatMessages
from lmms_eval.utils import simple_parse_args_string
from loguru import logger
from tqdm import tqdm

from minigemini.conversation import Image, Message, Part, Text, message
from minigemini.engine.local import LocalEngine
from minigemini.engine.request import Decoding, Request
from minigemini.evaluation.harnesses.tool_requests import decoding_of, picture, with_placed_pictures
from minigemini.evaluation.running.evaluated_model import load

MAX_NEW_TOKENS = 1024  # where a task does not say, as lmms-eval's own LLaVA
UNTIL_BY_DEFAULT = ["\n\n"]
NOT_OURS = ("image_aspect_ratio", "visual_cot", "max_agentic_steps", "seed", "skip_special_tokens")
"""What tasks also write into generation_kwargs; each is said once when it is not used."""


class ChatModel(lmms):
    """Asked by messages, which is how lmms-eval asks unless ``--force_simple`` is given.

    Args:
        pretrained: a checkpoint folder, a hub id, or a shipped name ("nano").
        batch_size: requests answered together by each process.
        device: such as "cuda:1"; by default the one that accelerate gives this process.

    Raises:
        ValueError: no model there, or a batch size that is no number ("auto").
    """

    is_simple = False

    def __init__(self, pretrained: str = "nano", batch_size: int | str = 1, device: str | None = None) -> None:
        super().__init__()
        if not str(batch_size).isdecimal() or int(batch_size) < 1:
            raise ValueError(f"batch_size {batch_size}: minigemini needs a number of at least 1")
        self.accelerator = Accelerator()
        self.device = torch.device(device) if device else self.accelerator.device
        self.batch_size = int(batch_size)
        self._rank, self._world_size = self.accelerator.process_index, self.accelerator.num_processes
        self.engine = LocalEngine(*load(str(pretrained), device=self.device))
        self._said: set[str] = set()

    @classmethod
    def create_from_arg_string(cls, arg_string: str, additional_config: dict | None = None) -> ChatModel:
        """As lmms-eval's, but ``batch_size`` in ``--model_args`` wins over ``--batch_size``, which is 1 when not given.

        Raises:
            ValueError: ``--max_batch_size``, the bound of lmms-eval's search for a batch size, is given.
        """
        given = {name: value for name, value in (additional_config or {}).items() if value is not None}
        if "max_batch_size" in given:
            raise ValueError(
                "--max_batch_size: minigemini searches for no batch size; give the one to use as --batch_size"
            )
        return cls(**{**given, **simple_parse_args_string(arg_string)})

    def clean(self) -> None:
        """Frees the model's memory; lmms-eval calls it before it starts a judge."""
        del self.engine
        super().clean()

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """The replies, in the order of the requests."""
        replies = [""] * len(requests)
        decodings = [json.dumps(self._gen_kwargs(request), sort_keys=True) for request in requests]
        seeds = seeds_of(requests)
        order = sorted(range(len(requests)), key=lambda i: (decodings[i], -len(requests[i].args[0]), i))
        progress = tqdm(total=len(requests), disable=self.rank != 0, desc="minigemini")
        for decoding, group in groupby(order, key=lambda i: decodings[i]):
            asked = self._decoding(json.loads(decoding))
            by_chance = asked.temperature > 0
            alike, size = list(group), 1 if by_chance else self.batch_size
            for start in range(0, len(alike), size):
                batch = alike[start : start + size]
                answers = self.engine.answer(
                    [
                        Request(
                            with_placed_pictures(self._messages(requests[i])), asked, seeds[i] if by_chance else None
                        )
                        for i in batch
                    ]
                )
                for i, answer in zip(batch, answers, strict=True):
                    replies[i] = answer.text.strip()
                progress.update(len(batch))
        progress.close()
        return replies

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        raise NotImplementedError(
            "minigemini gives lmms-eval no likelihoods: its multiple_choice tasks take the answer with the lowest value as "
            "chosen (a loss), its interface asks for the highest (a log-probability), and the two cannot both be served. "
            "Choose a task that generates, such as seedbench instead of seedbench_ppl"
        )

    def generate_until_multi_round(self, requests: list[Instance]) -> list[str]:
        raise NotImplementedError(
            "minigemini answers no tasks of several rounds: lmms-eval 0.7.3 has OVO-Bench, which shows video, and MMSearch, which "
            "needs a web browser"
        )

    def _gen_kwargs(self, request: Instance) -> dict[str, Any]:
        _, _, gen_kwargs, *_ = request.args
        return gen_kwargs

    def _messages(self, request: Instance) -> list[Message]:
        _, doc_to_messages, _, doc_id, task, split = request.args
        messages = ChatMessages(messages=doc_to_messages(self.task_dict[task][split][doc_id]))
        return [
            Message(one["role"], tuple(self._part(part, request) for part in one["content"]))
            for one in messages.to_hf_messages()
        ]

    def _part(self, part: dict[str, Any], request: Instance) -> Part:
        where = f"{request.task_name}, doc_id {request.doc_id}"
        if part["type"] == "text":
            return Text(part["text"])
        if part["type"] == "image":
            return Image(picture(part["image"], where))
        raise ValueError(f"{where}: minigemini reads text and pictures, not {part['type']}")

    def _decoding(self, gen_kwargs: dict[str, Any]) -> Decoding:
        asked = dict(gen_kwargs)
        until = asked.pop("until", None) or []
        ends = [until] if isinstance(until, str) else list(until)
        if ends == UNTIL_BY_DEFAULT:
            ends = []
            self._say("until: a blank line is what lmms-eval sets by default; replies are not cut there")
        ends += asked.pop("stop_sequences", None) or []
        for name in NOT_OURS:
            if name in asked:
                self._say(f"generation_kwargs: {name}={asked.pop(name)} is not used")
        return decoding_of(asked, MAX_NEW_TOKENS, ends)

    def _say(self, text: str) -> None:
        if text not in self._said and self.rank == 0:
            logger.warning(f"minigemini: {text}")
        self._said.add(text)


class SimpleModel(ChatModel):
    """Asked by a text and pictures (``--force_simple``): the pictures come first, or where the text has ``<image>``."""

    is_simple = True

    def _gen_kwargs(self, request: Instance) -> dict[str, Any]:
        return request.args[1]

    def _messages(self, request: Instance) -> list[Message]:
        context, _, doc_to_visual, doc_id, task, split = request.args
        where = f"{request.task_name}, doc_id {request.doc_id}"
        visuals = doc_to_visual(self.task_dict[task][split][doc_id]) or []
        return [message("user", context, [picture(visual, where) for visual in visuals])]


def seeds_of(requests: Sequence[Instance]) -> list[int]:
    """A seed for each request from its row, and from how often the row was asked before (``--repeats``)."""
    asked: Counter[tuple[Any, ...]] = Counter()
    seeds = []
    for request in requests:
        row = tuple(request.args[-3:])  # doc_id, task, split
        name = repr((torch.initial_seed(), row, asked[row]))
        seeds.append(int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big"))
        asked[row] += 1
    return seeds
