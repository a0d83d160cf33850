"""Checkpoints made of the shipped nano that vLLM's CPU backend can serve; each answers by what it sees."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer, MixtralConfig, MixtralForCausalLM
from widened import write_widened

from minigemini import nano
from minigemini.checkpoints.assemble import IMAGE_TOKEN, NewModel, Parts, assemble_model, assemble_processor
from minigemini.checkpoints.chat_template import read_template, standalone
from minigemini.checkpoints.load import load_model, load_processor
from minigemini.checkpoints.resolution import Resolution

ROWS = 768  # of the embeddings of `write_behind`: vLLM fills them up to a multiple of 64, and this is one


def write_nano(folder: Path) -> Path:
    """The nano, with wider heads that do the same."""
    return write_widened(nano.path("nano"), folder)


def write_hd(source: Path, folder: Path, template: str) -> Path:
    """A checkpoint in four crops and the whole, as the original's HD models are made of the others, with a released chat template and a
    tokenizer that writes ``<s>`` in front of a text."""
    resolution = Resolution(192, image_grid=2, image_global=True)
    load_model(str(source), resolution=resolution).save_pretrained(folder)
    processor = load_processor(str(source), resolution)
    tokenizer: Any = processor.tokenizer
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{tokenizer.bos_token} $A", special_tokens=[(tokenizer.bos_token, tokenizer.bos_token_id)]
    )
    processor.chat_template = standalone(read_template(template), tokenizer, IMAGE_TOKEN)
    processor.save_pretrained(folder)
    return folder


def write_behind(source: Path, folder: Path) -> Path:
    """A checkpoint whose image token stands behind its vocabulary, as in the released ones: no row of the embeddings is its own."""
    shutil.copytree(source, folder)
    edit_json(
        folder / "config.json",
        lambda config: (config.update(image_token_id=ROWS), config["text_config"].update(vocab_size=ROWS)),
    )
    edit_json(folder / "generation_config.json", lambda config: config.pop("suppress_tokens"))
    edit_json(folder / "tokenizer.json", move_image_token)
    weights = load_file(folder / "model.safetensors")
    name = "model.language_model.embed_tokens.weight"
    known = weights[name]
    weights[name] = torch.cat([known, known.new_zeros(ROWS - len(known), known.shape[1])])
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def move_image_token(tokenizer: dict[str, Any]) -> None:
    """``<image>`` gets the id behind the rows; the rows that no word has get names."""
    added, vocabulary = tokenizer["added_tokens"], tokenizer["model"]["vocab"]
    (image,) = (token for token in added if token["content"] == "<image>")
    vocabulary["<was_image>"] = vocabulary.pop("<image>")
    unused = [{**image, "id": row, "content": f"<unused_{row}>"} for row in range(len(vocabulary), ROWS)]
    added += [*unused, {**image, "id": ROWS}]
    image["content"] = "<was_image>"


def edit_json(file: Path, edit: Any) -> None:
    content = json.loads(file.read_text(encoding="utf-8"))
    edit(content)
    file.write_text(json.dumps(content), encoding="utf-8")


def write_mixtral(folder: Path) -> Path:
    """The nano's towers before a mixture of experts with random weights, large enough that what it says depends on what it sees."""
    torch.manual_seed(0)
    language_model = folder.with_name(folder.name + "-language-model")
    tokenizer = AutoTokenizer.from_pretrained(nano.path("nano-base/language_model"))
    config = MixtralConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        num_local_experts=4,
        num_experts_per_tok=2,
        max_position_embeddings=1024,
        initializer_range=0.3,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    MixtralForCausalLM(config).save_pretrained(language_model)
    tokenizer.save_pretrained(language_model)
    parts = Parts(str(language_model), "nano-base/vision_tower", "nano-base/high_res_vision_tower")
    new = NewModel(high_res_image_size=96)
    assemble_model(parts, new).save_pretrained(folder)
    assemble_processor(parts, new).save_pretrained(folder)
    return folder
