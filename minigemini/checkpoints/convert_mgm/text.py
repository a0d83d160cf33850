"""The text side of released MGM checkpoints: tokenizer, chat template, where an answer stops.

The original splits a prompt at ``<image>`` and tokenises the pieces one by one. A SentencePiece tokenizer writes a space in
front of every piece, so the pieces of its vocabulary that follow a picture depend on it. Here the same rule is written into the
tokenizer itself (``tokenizer.json``): whoever calls it, the processor, training or an engine, gets the ids of the original.
"""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from sentencepiece import SentencePieceProcessor, sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, normalizers
from transformers import AutoTokenizer, GenerationConfig, PreTrainedTokenizerFast

IMAGE_TOKEN = "<image>"
# Tokens that end an answer where the tokenizer's own end of text does not, by template.
END_OF_TURN = {"gemma": "<end_of_turn>", "llama_3": "<|eot_id|>", "chatml_direct": "<|im_end|>"}
# Compared between the converted tokenizer and SentencePiece itself.
PROBES = (
    "What is shown in this image?",
    "1,234.5 %  two  spaces\n\ttab",
    "Größe “42” 漢字 😀",
    "def f(x): return x**2",
)


def template_name(model_type: str, tokenizer: PreTrainedTokenizerFast) -> str:
    """The template a checkpoint was trained with. It is written nowhere, so it is read off the model's kind and its control
    tokens (the original read it off the name of the folder)."""
    if model_type == "gemma":
        return "gemma"
    if model_type in ("mistral", "mixtral"):
        return "mistral_instruct"
    vocabulary = tokenizer.get_vocab()
    if {"<|start_header_id|>", "<|eot_id|>"} <= set(vocabulary):
        return "llama_3"
    if {"<|im_start|>", "<|im_end|>"} <= set(vocabulary):
        return "chatml_direct"
    return "v1"


def generation_config(template: str, tokenizer: PreTrainedTokenizerFast, vocab_size: int) -> GenerationConfig:
    """Greedy, stopping at the end of the text and at the end of a turn."""
    ends = [tokenizer.eos_token_id]
    if template in END_OF_TURN:
        ends.append(tokenizer.convert_tokens_to_ids(END_OF_TURN[template]))
    image: Any = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
    return GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=list(dict.fromkeys(ends)),
        pad_token_id=tokenizer.pad_token_id,
        suppress_tokens=[image] if image < vocab_size else None,
    )


def converted_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer of a released checkpoint, with `<image>` as its last token and padding on the left.

    Raises:
        ValueError: there is none, it cannot be read, or it does not tokenise as its SentencePiece model does.
    """
    stated = json.loads(_required(folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    pieces = _sentence_pieces(folder)
    original = _read(folder)
    if IMAGE_TOKEN in original.get_vocab():
        raise ValueError(f"{folder}: its tokenizer has a token {IMAGE_TOKEN!r} already, which MGM's never has")
    backend = Tokenizer.from_str(original.backend_tokenizer.to_str())
    image_token = AddedToken(IMAGE_TOKEN, special=True, normalized=False)
    if pieces is not None and stated.get("tokenizer_class", "").startswith("Llama"):
        legacy = stated.get("legacy")
        if legacy is None or legacy:  # transformers 4.36's default
            separate_segments(backend, pieces.normalizer_spec.add_dummy_prefix)
        else:
            separate_pieces(backend)
            image_token = AddedToken(IMAGE_TOKEN, special=True, normalized=True)
        assert_same_as_sentence_pieces(folder, backend, pieces, legacy is None or legacy)
    backend.add_special_tokens([image_token])
    named = {name: original.special_tokens_map.get(name) for name in ("bos_token", "eos_token", "unk_token")}
    special = [token.content for token in backend.get_added_tokens_decoder().values() if token.special]
    pad = original.pad_token or original.unk_token or reserved(special) or original.eos_token
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        **named,
        pad_token=pad,
        padding_side="left",  # what batched generation needs
        extra_special_tokens=[token for token in special if token not in {*named.values(), pad}],
        clean_up_tokenization_spaces=original.clean_up_tokenization_spaces,
    )


def separate_segments(backend: Tokenizer, add_dummy_prefix: bool) -> None:
    """As transformers 4's slow Llama tokenizer in legacy mode: each text between special tokens goes through SentencePiece
    on its own, which writes a space in front if its model says so. `<image>` is a special token like the others."""
    prefix = [normalizers.Prepend("▁")] if add_dummy_prefix else []
    backend.normalizer = normalizers.Sequence([*prefix, normalizers.Replace(" ", "▁")])
    backend.pre_tokenizer = None


def separate_pieces(backend: Tokenizer) -> None:
    """As the same without legacy mode: a space in front of each text that is tokenised at once, none after special tokens.

    Such a text begins behind every picture. So `<image>` is searched in normalised text, and normalising writes the space
    behind the last of a run of them, unless a special token or the end follows.
    """
    assert backend.pre_tokenizer is not None, "transformers builds it with Metaspace"
    last_of_run = Regex(rf"{IMAGE_TOKEN}(?!{IMAGE_TOKEN}|\z)")
    backend.normalizer = normalizers.Sequence([normalizers.Replace(last_of_run, f"{IMAGE_TOKEN}▁")])


def assert_same_as_sentence_pieces(folder: Path, backend: Tokenizer, pieces: Any, legacy: bool) -> None:
    """Compare with SentencePiece itself, which the original called.

    Raises:
        ValueError: it is not the same; names the text.
    """
    reference = SentencePieceProcessor(model_proto=pieces.SerializeToString())
    for text in PROBES:
        prefix = "" if legacy or pieces.normalizer_spec.add_dummy_prefix else " "
        expected = reference.encode(prefix + text)
        found = backend.encode(text, add_special_tokens=False).ids
        if found != expected:
            raise ValueError(
                f"{folder}: transformers reads its tokenizer.model in another way than SentencePiece: {text!r} becomes "
                f"{found}, not {expected}"
            )


def reserved(special: list[str]) -> str | None:
    """What the original pads Llama 3 with, which has no unknown token."""
    return next((token for token in special if token.startswith("<|reserved_special_token")), None)


def _read(folder: Path) -> Any:
    """The tokenizer as transformers reads it, beside no config.json, whose model_type only means something to the original."""
    with tempfile.TemporaryDirectory() as alone:
        for pattern in ("tokenizer*", "special_tokens_map.json", "added_tokens.json"):
            for file in folder.glob(pattern):
                shutil.copyfile(file, Path(alone) / file.name)
        return AutoTokenizer.from_pretrained(alone)


def _sentence_pieces(folder: Path) -> Any:
    """The SentencePiece model, None if there is none."""
    file = folder / "tokenizer.model"
    if not file.is_file():
        _required(folder / "tokenizer.json")
        return None
    model: Any = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]
    try:
        model.ParseFromString(file.read_bytes())
    except DecodeError as error:
        raise ValueError(f"{file}: not a SentencePiece model ({error})") from error
    return model


def _required(file: Path) -> Path:
    if not file.is_file():
        raise ValueError(f"{file.parent}: no {file.name}, so its text cannot be tokenised as in the original")
    return file
