"""A CLIP, a DETR, an OWL-ViT and a Mask2Former with random weights, as folders on disk."""

from pathlib import Path

import torch
import transformers
from tokenizers.pre_tokenizers import ByteLevel

SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
MOST_TOKENS = 40


def tokenizer() -> transformers.CLIPTokenizer:
    """Every letter is a token."""
    letters = sorted(ByteLevel.alphabet())
    names = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return transformers.CLIPTokenizer(
        {name: number for number, name in enumerate(names)}, [], model_max_length=MOST_TOKENS
    )


def text_config(words: transformers.CLIPTokenizer, most_tokens: int = MOST_TOKENS) -> dict:
    ids = {"bos_token_id": words.bos_token_id, "eos_token_id": words.eos_token_id, "pad_token_id": words.pad_token_id}
    return {**SMALL, **ids, "vocab_size": len(words), "max_position_embeddings": most_tokens}


def write_clip(folder: Path, seed: int = 0) -> str:
    torch.manual_seed(seed)
    words = tokenizer()
    vision = {**SMALL, "image_size": 32, "patch_size": 8}
    transformers.CLIPModel(
        transformers.CLIPConfig(text_config=text_config(words), vision_config=vision, projection_dim=16)
    ).save_pretrained(folder)
    transformers.CLIPProcessor(transformers.CLIPImageProcessor(size=32, crop_size=32), words).save_pretrained(folder)
    return str(folder)


def write_detr(folder: Path, classes: list[str]) -> str:
    """Sees something everywhere: its class heads are drawn wide, so that some boxes are sure."""
    torch.manual_seed(0)
    backbone = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 12, 16, 24], depths=[1, 1, 1, 1], out_features=["stage4"]
    )
    sizes = {"layers": 1, "ffn_dim": 32, "attention_heads": 2}
    config = transformers.DetrConfig(
        backbone_config=backbone,
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        d_model=32,
        **{f"{side}_{name}": size for side in ("encoder", "decoder") for name, size in sizes.items()},
        num_queries=12,
        id2label=dict(enumerate(classes)),
    )
    model = transformers.DetrForObjectDetection(config)
    torch.nn.init.normal_(model.class_labels_classifier.weight, std=1.0)
    model.save_pretrained(folder)
    transformers.DetrImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)
    return str(folder)


def write_mask2former(folder: Path, classes: list[str]) -> str:
    torch.manual_seed(0)
    backbone = transformers.SwinConfig(
        image_size=64, patch_size=4, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=4,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )  # fmt: skip
    config = transformers.Mask2FormerConfig(
        backbone_config=backbone,
        **dict.fromkeys(("feature_size", "mask_feature_size", "hidden_dim"), 32),
        **dict.fromkeys(("encoder_feedforward_dim", "dim_feedforward"), 16),
        encoder_layers=1,
        decoder_layers=2,
        num_attention_heads=2,
        num_queries=12,
        id2label=dict(enumerate(classes)),
    )
    model = transformers.Mask2FormerForUniversalSegmentation(config)
    torch.nn.init.normal_(model.class_predictor.weight, std=2.0)
    model.save_pretrained(folder)
    transformers.Mask2FormerImageProcessor(size={"height": 64, "width": 64}, ignore_index=255).save_pretrained(folder)
    return str(folder)


def write_owlvit(folder: Path) -> str:
    torch.manual_seed(0)
    words = tokenizer()
    words.model_max_length = 32
    config = transformers.OwlViTConfig(
        text_config=text_config(words, 32),
        vision_config={**SMALL, "image_size": 32, "patch_size": 8},
        projection_dim=32,
    )
    transformers.OwlViTForObjectDetection(config).save_pretrained(folder)
    size = {"height": 32, "width": 32}
    transformers.OwlViTProcessor(transformers.OwlViTImageProcessor(size=size, crop_size=size), words).save_pretrained(
        folder
    )
    return str(folder)
