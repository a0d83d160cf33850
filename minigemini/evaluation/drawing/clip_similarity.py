"""How alike a picture and a text are, by a CLIP of transformers."""

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from transformers import CLIPModel, CLIPProcessor

from minigemini.evaluation.running.digest import weights_digest

CLIP = "openai/clip-vit-large-patch14"
"""GenEval's, and that of most published CLIP scores."""


class Clip:
    """
    Args:
        path_or_id: a local folder or a hub id of a CLIP model with its processor.

    Raises:
        ValueError: there is none; it is named.
    """

    def __init__(self, path_or_id: str = CLIP) -> None:
        self.name = path_or_id
        try:
            self.model: Any = CLIPModel.from_pretrained(path_or_id, dtype=torch.float32, use_safetensors=True).eval()
            self.processor: Any = CLIPProcessor.from_pretrained(path_or_id)
        except OSError as error:
            raise ValueError(f"{path_or_id}: no CLIP model can be loaded from there ({error})") from error
        self.model.to("cuda" if torch.cuda.is_available() else "cpu")
        self.most_tokens = self.model.config.text_config.max_position_embeddings

    def digest(self) -> str:
        return weights_digest(self.model)

    def is_cut(self, text: str) -> bool:
        """Is the text longer than what CLIP reads?"""
        return len(self.processor.tokenizer(text, verbose=False)["input_ids"]) > self.most_tokens

    @torch.inference_mode()
    def of_pictures(self, pictures: Sequence[Image.Image]) -> torch.Tensor:
        """[N, dim] of length one, on the CPU."""
        inputs = self.processor.image_processor([picture.convert("RGB") for picture in pictures], return_tensors="pt")
        pooled = self.model.vision_model(pixel_values=inputs["pixel_values"].to(self.model.device)).pooler_output
        return torch.nn.functional.normalize(self.model.visual_projection(pooled), dim=-1).cpu()

    @torch.inference_mode()
    def of_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """[N, dim] of length one, on the CPU. Of a text that is too long (:meth:`is_cut`) the end is not read."""
        inputs = self.processor.tokenizer(
            list(texts), padding=True, truncation=True, max_length=self.most_tokens, return_tensors="pt"
        ).to(self.model.device)
        pooled = self.model.text_model(
            input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]
        ).pooler_output
        return torch.nn.functional.normalize(self.model.text_projection(pooled), dim=-1).cpu()
