"""Trained parts -> a new model and its processor.

parts = Parts("my/llama", "openai/clip-vit-large-patch14-336", "laion/CLIP-convnext_large_d_320.laion2B-s29B-b131K-ft-soup")
new = NewModel(high_res_image_size=768)
model, processor = assemble_model(parts, new), assemble_processor(parts, new)
"""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from minigemini import nano
from minigemini.checkpoints.chat_template import read_template, standalone
from minigemini.checkpoints.convnext import describe, load_high_res_vision_tower, normalisation
from minigemini.model.configuration_minigemini import MiniGeminiConfig, MiniGeminiHighResVisionConfig
from minigemini.model.image_processing_minigemini import MiniGeminiImageProcessor
from minigemini.model.modeling_minigemini import (
    MiniGeminiForConditionalGeneration,
    MiniGeminiMultiModalProjector,
    new_mining,
)
from minigemini.model.processing_minigemini import MiniGeminiProcessor

# Types of vision models that turn a square picture into one token a patch, in reading order.
LOW_RES_TOWERS = ("clip_vision_model", "siglip_vision_model", "dinov2", "dinov2_with_registers", "dinov3_vit")
IMAGE_TOKEN = "<image>"


@dataclass(frozen=True)
class Parts:
    """The trained parts of a new model: local folders, hub ids or shipped names (``nano-base/language_model``).

    Attributes:
        language_model: a decoder language model with its tokenizer. If the tokenizer has no token for pictures, it gets one and
            the embeddings grow if they must.
        vision_tower: of a CLIP, SigLIP or DINO model, or of its vision half.
        high_res_vision_tower: a ConvNeXt in timm's or open_clip's format; None: a model without the high-res tower.
    """

    language_model: str
    vision_tower: str
    high_res_vision_tower: str | None

    def resolved(self) -> "Parts":
        """With the folders of shipped names."""
        high_res = self.high_res_vision_tower
        return Parts(
            nano.resolve(self.language_model), nano.resolve(self.vision_tower), high_res and nano.resolve(high_res)
        )


@dataclass(frozen=True)
class NewModel:
    """The choices of a model made from parts.

    Attributes:
        high_res_image_size: side in pixels of the squared image: what the high-resolution tower sees, and what the low-resolution
            pixels are shrunk from; also for a model without high-resolution tower.
        vision_feature_layer, image_grid, image_global: as in [`MiniGeminiConfig`].
        chat_template: a Jinja file, or the name of one that comes with the package (`chat_template.py`); None: the language model's own.
    """

    high_res_image_size: int
    vision_feature_layer: int = -2
    image_grid: int = 1
    image_global: bool = False
    chat_template: str | None = None


def assemble_model(
    parts: Parts, new: NewModel, *, image_token: str = IMAGE_TOKEN, dtype: torch.dtype = torch.float32
) -> MiniGeminiForConditionalGeneration:
    """Put a new model together, in eval mode. Mining and projector are new, with random weights.

    Args:
        image_token: what stands for a picture in text; added to the vocabulary as a special token if it is not there.
        dtype: of all weights.

    Raises:
        ValueError: a part is not what it should be, or the sizes do not fit each other.
    """
    parts = parts.resolved()
    tokenizer = tokenizer_with_image_token(parts.language_model, image_token)
    image_token_id = tokenizer.convert_tokens_to_ids(image_token)
    assert isinstance(image_token_id, int)
    causal = load_language_model(parts.language_model, len(tokenizer), dtype)
    language_model = causal.get_decoder()
    high_res = None
    if parts.high_res_vision_tower is not None:
        high_res = load_high_res_vision_tower(parts.high_res_vision_tower, new.high_res_image_size, dtype)
    vision_tower = load_vision_tower(parts.vision_tower, dtype)
    high_res_config = None if high_res is None else high_res.config
    config = joined_config(language_model.config, vision_tower.config, high_res_config, image_token_id, new, dtype)
    with torch.device("meta"):  # the skeleton; every part of it is replaced by a real one below
        model = MiniGeminiForConditionalGeneration(config)
    model.model.vision_tower = vision_tower
    model.model.high_res_vision_tower = high_res
    model.model.multi_modal_projector = MiniGeminiMultiModalProjector(config).to(dtype)
    if high_res is not None:
        model.model.patch_info_mining = new_mining(config, high_res).to(dtype)
    model.model.language_model = language_model
    model.lm_head = causal.get_output_embeddings()
    model.tie_weights()
    with torch.no_grad():
        # Image tokens are born at the scale of word embeddings. At the usual initialisation the nano's were fifty times
        # larger, before and after align, and drowned what the language model adds to them.
        scale = torch.cat(list(language_model.get_input_embeddings().parameters())).square().mean().sqrt()
        for parameter in model.model.multi_modal_projector.linear_2.parameters():
            parameter.mul_(scale)
    model.generation_config = copy.deepcopy(causal.generation_config)
    # A picture cannot be answered: the token has no meaning without pixels.
    model.generation_config.suppress_tokens = [config.image_token_id]
    return model.eval()


def assemble_config(
    parts: Parts, new: NewModel, *, image_token: str = IMAGE_TOKEN, dtype: torch.dtype = torch.float32
) -> MiniGeminiConfig:
    """The configuration of the model that `assemble_model` makes of the same, read from configurations alone: no weights are
    needed.

    Raises:
        ValueError: as `assemble_model`.
    """
    parts = parts.resolved()
    tokenizer = tokenizer_with_image_token(parts.language_model, image_token)
    image_token_id = tokenizer.convert_tokens_to_ids(image_token)
    assert isinstance(image_token_id, int)
    text: Any = AutoConfig.from_pretrained(parts.language_model)
    text.vocab_size = max(text.vocab_size, len(tokenizer))
    high_res = None
    if parts.high_res_vision_tower is not None:
        architecture, model_args, _, _ = describe(parts.high_res_vision_tower)
        high_res = MiniGeminiHighResVisionConfig(
            architecture=architecture, model_args=model_args, image_size=new.high_res_image_size
        )
    config = joined_config(text, vision_config(parts.vision_tower), high_res, image_token_id, new, dtype)
    config.check_geometry()
    return config


def joined_config(
    text: PreTrainedConfig,
    vision: PreTrainedConfig,
    high_res: MiniGeminiHighResVisionConfig | None,
    image_token_id: int,
    new: NewModel,
    dtype: torch.dtype,
) -> MiniGeminiConfig:
    return MiniGeminiConfig(
        text_config=text,
        vision_config=vision,
        high_res_vision_config=high_res,
        image_token_id=image_token_id,
        vision_feature_layer=new.vision_feature_layer,
        vision_feature_select_strategy="full" if vision.model_type == "siglip_vision_model" else "default",
        image_grid=new.image_grid,
        image_global=new.image_global,
        dtype=dtype,
    )


def assemble_processor(parts: Parts, new: NewModel, *, image_token: str = IMAGE_TOKEN) -> MiniGeminiProcessor:
    """The processor of the model that `assemble_model` makes of the same: the language model's tokenizer, and pixels of the
    towers' sizes and normalisations.

    Raises:
        ValueError: no chat template, or one that does not show pictures.
    """
    parts = parts.resolved()
    tokenizer = tokenizer_with_image_token(parts.language_model, image_token)
    tokenizer.padding_side = "left"  # what batched generation needs
    template = tokenizer.chat_template if new.chat_template is None else read_template(new.chat_template)
    if template is None:
        raise ValueError(f"{parts.language_model}: its tokenizer has no chat template; give chat_template=")
    assert_shows_pictures(tokenizer, template, image_token)
    template = standalone(template, tokenizer, image_token)
    tokenizer.chat_template = None  # it is the processor's now, in one place

    tower = vision_config(parts.vision_tower)
    pixels = AutoImageProcessor.from_pretrained(parts.vision_tower)
    high_res = parts.high_res_vision_tower and normalisation(parts.high_res_vision_tower)
    own: Any = {"high_res_image_mean": high_res[0], "high_res_image_std": high_res[1]} if high_res else {}
    image_processor = MiniGeminiImageProcessor(
        size={"height": tower.image_size, "width": tower.image_size},
        image_mean=list(pixels.image_mean),
        image_std=list(pixels.image_std),
        high_res_size=new.high_res_image_size,
        do_high_res=parts.high_res_vision_tower is not None,
        image_grid=new.image_grid,
        image_global=new.image_global,
        **own,
    )
    return MiniGeminiProcessor(
        image_processor, tokenizer, patch_size=tower.patch_size, chat_template=template, image_token=image_token
    )


def tokenizer_with_image_token(language_model: str, image_token: str) -> PreTrainedTokenizerBase:
    """The tokenizer, with `image_token` as one special token and something to pad with."""
    tokenizer = AutoTokenizer.from_pretrained(language_model)
    if image_token not in tokenizer.get_vocab():
        tokenizer.add_tokens([image_token], special_tokens=True)
    if tokenizer.pad_token is None:  # masked wherever it stands, so any token will do
        tokenizer.pad_token = tokenizer.unk_token or tokenizer.eos_token
    return tokenizer


def load_language_model(language_model: str, tokens: int, dtype: torch.dtype) -> Any:
    """The language model with its head and room for so many tokens.

    Raises:
        ValueError: its head has a bias.
    """
    causal: Any = AutoModelForCausalLM.from_pretrained(language_model, dtype=dtype)
    if tokens > causal.get_input_embeddings().weight.shape[0]:
        causal.resize_token_embeddings(tokens)
    if causal.get_output_embeddings().bias is not None:
        raise ValueError(f"{language_model}: a language model whose head has a bias is not supported")
    return causal


def vision_config(vision_tower: str) -> PreTrainedConfig:
    """Configuration of a vision tower, also out of a whole CLIP or SigLIP model.

    Raises:
        ValueError: it is none of `LOW_RES_TOWERS`; SigLIP 2 is one, but not in its variant for any shape (NaFlex).
    """
    config = AutoConfig.from_pretrained(vision_tower)
    config = getattr(config, "vision_config", config)
    if config.model_type not in LOW_RES_TOWERS:
        raise ValueError(
            f"{vision_tower}: the low-resolution tower must be one of {', '.join(LOW_RES_TOWERS)}, "
            f"not {config.model_type}"
        )
    return config


def load_vision_tower(vision_tower: str, dtype: torch.dtype) -> PreTrainedModel:
    """
    Raises:
        ValueError: as `vision_config`, or tensors are missing.
    """
    model, report = AutoModel.from_pretrained(
        vision_tower, config=vision_config(vision_tower), dtype=dtype, output_loading_info=True
    )
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise ValueError(f"{vision_tower}: the vision tower misses {len(missing)} tensors, first {missing[0]!r}")
    return model


def assert_shows_pictures(tokenizer: PreTrainedTokenizerBase, chat_template: str, image_token: str) -> None:
    """See whether the template writes `image_token` for an image part, and the text beside it.

    Raises:
        ValueError: it does not; most templates of pure language models know strings only.
    """
    message: Any = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "words"}]}
    shown: Any = tokenizer.apply_chat_template([message], chat_template=chat_template, tokenize=False)
    if shown.count(image_token) != 1 or "words" not in shown or "'text'" in shown:
        raise ValueError(
            f"the chat template does not write {image_token!r} for an image part, so it cannot show pictures; give "
            "chat_template= one over content parts"
        )
