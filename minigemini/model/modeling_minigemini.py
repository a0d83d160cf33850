"""The model: two vision towers, patch info mining, a projector, and any decoder language model of transformers."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel, Cache, GenerationMixin, PreTrainedModel
from transformers import initialization as init
from transformers.activations import ACT2FN
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs, can_return_tuple, logging, torch_compilable_check

from .configuration_minigemini import MiniGeminiConfig
from .high_res_vision_tower import MiniGeminiHighResVisionModel
from .image_token import has_embedding, in_vocabulary
from .loss import IGNORED, LossKwargs, TokenCrossEntropy, mean_of, next_tokens
from .outputs import MiniGeminiCausalLMOutputWithPast, MiniGeminiImageFeatures, MiniGeminiModelOutputWithPast
from .patch_info_mining import AbsorbedLinear, PatchInfoMining, PooledLinear
from .transformers_versions import CACHE, either_cache

logger = logging.get_logger(__name__)


class MiniGeminiMultiModalProjector(nn.Module):
    """[..., D] -> [..., hidden size of the language model], two layers."""

    def __init__(self, config: MiniGeminiConfig):
        super().__init__()
        width = config.text_config.hidden_size
        self.linear_1 = nn.Linear(config.vision_config.hidden_size, width)
        self.act = ACT2FN[config.projector_hidden_act]
        self.linear_2 = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.linear_2(self.act(self.linear_1(tokens)))


class MiniGeminiPreTrainedModel(PreTrainedModel):
    config: MiniGeminiConfig
    base_model_prefix = "model"
    input_modalities = ("image", "text")  # type: ignore[assignment]
    supports_gradient_checkpointing = True
    _no_split_modules = ["PatchInfoMining"]
    _skip_keys_device_placement = [CACHE]
    _supports_flash_attn = True
    _supports_sdpa = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True


class MiniGeminiModel(MiniGeminiPreTrainedModel):
    """The model without its language model head."""

    def __init__(self, config: MiniGeminiConfig):
        config.check_geometry()
        super().__init__(config)
        self.vision_tower = AutoModel.from_config(config.vision_config)
        self.high_res_vision_tower: Any = None
        self.patch_info_mining: Any = None
        if config.high_res_vision_config is not None:
            self.high_res_vision_tower = MiniGeminiHighResVisionModel(config.high_res_vision_config)
            self.patch_info_mining = new_mining(config, self.high_res_vision_tower)
        self.multi_modal_projector = MiniGeminiMultiModalProjector(config)
        self.language_model = AutoModel.from_config(config.text_config)
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Of what is new: mining and projector. The towers and the language model initialise themselves."""
        if isinstance(module, (nn.Linear, AbsorbedLinear, PooledLinear)):
            # As torch does it, and as the original system started; the language model's scale would not fit.
            bound = 1 / math.sqrt(module.weight.shape[1])
            init.uniform_(module.weight, -bound, bound)
            init.uniform_(module.bias, -bound, bound)
        else:
            super()._init_weights(module)

    def get_input_embeddings(self) -> nn.Module:
        return self.language_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.language_model.set_input_embeddings(value)

    @can_return_tuple
    def get_image_features(
        self,
        pixel_values: Tensor,
        high_res_pixel_values: Tensor | None = None,
        output_mining_attentions: bool = False,
        **kwargs: Unpack[TransformersKwargs],
    ) -> tuple | MiniGeminiImageFeatures:
        r"""
        Pictures -> image tokens for the language model.

        Args:
            pixel_values: [N, 3, h, w], or with an image grid [N, T, 3, h, w].
            high_res_pixel_values: [N, 3, S, S]; without it nothing is mined, the tokens are the low-resolution tower's
                (which a model that can mine says once).
                S need not be the size that the model was trained with, but one of those that fit it
                ([`MiniGeminiConfig.check_high_res_size`]).
            output_mining_attentions: whether to return where each token looked, and how much it found there.

        Returns:
            [`MiniGeminiImageFeatures`]. A picture's tokens are in the order whole view (if there is one), then crops
            row by row; within a view, row by row.

        Raises:
            ValueError: pixels of another shape than the configuration's.
        """
        self._check_pixels(pixel_values, high_res_pixel_values)
        config = self.config
        if pixel_values.ndim == 4:
            pixel_values = pixel_values[:, None]
        images, views = pixel_values.shape[:2]
        kwargs["output_hidden_states"] = True
        kwargs.pop("return_dict", None)  # type: ignore[typeddict-item]
        outputs = self.vision_tower(pixel_values.flatten(0, 1).to(self.vision_tower.dtype), return_dict=True, **kwargs)
        low_res = outputs.hidden_states[config.vision_feature_layer]
        if config.vision_feature_select_strategy == "default":
            low_res = low_res[:, max(1, low_res.shape[1] - config.tokens_per_side**2) :]
        if low_res.shape[1] != config.tokens_per_side**2:
            raise ValueError(
                f"vision_feature_select_strategy = {config.vision_feature_select_strategy!r} leaves {low_res.shape[1]} "
                f"tokens of {config.tokens_per_side} x {config.tokens_per_side} patches: use 'default' for a tower with "
                "a class token (CLIP, DINO), 'full' for one without (SigLIP)"
            )
        tokens = low_res.unflatten(0, (images, views))
        attentions = residual_norms = None
        if high_res_pixel_values is not None:
            before = tokens
            tokens, attention = self.patch_info_mining(before, self.high_res_vision_tower(high_res_pixel_values))
            if output_mining_attentions:
                attentions = self._in_order_of_tokens(attention)
                residual_norms = self._in_order_of_tokens(norms(tokens - before) / norms(before))
        tokens = self._in_order_of_tokens(tokens)
        features = self.multi_modal_projector(tokens.to(self.multi_modal_projector.linear_1.weight.dtype))
        if config.image_feature_scale != 1.0:
            features = features * config.image_feature_scale
        return MiniGeminiImageFeatures(
            last_hidden_state=low_res,
            pooler_output=features,
            mining_attentions=attentions,
            mining_residual_norms=residual_norms,
        )

    def _in_order_of_tokens(self, views: Tensor) -> Tensor:
        """[N, T, n * n, ...], the views in the order of `pixel_values` -> [N, tokens, ...]: the whole view goes first."""
        return (views.roll(1, dims=1) if self.config.image_global else views).flatten(1, 2)

    def _check_pixels(self, pixel_values: Tensor, high_res_pixel_values: Tensor | None) -> None:
        config = self.config
        side, views = config.vision_config.image_size, config.views_per_image
        shape = (3, side, side) if views == 1 else (views, 3, side, side)
        if tuple(pixel_values.shape[1:]) != shape:
            raise ValueError(f"pixel_values must be [N, {', '.join(map(str, shape))}], not {list(pixel_values.shape)}")
        if high_res_pixel_values is not None:
            if self.high_res_vision_tower is None:
                raise ValueError(
                    "this model has no high-resolution tower but got high_res_pixel_values; make its processor with "
                    "do_high_res=False"
                )
            pictures, side = pixel_values.shape[0], high_res_pixel_values.shape[-1]  # len() would be fixed in an export
            if tuple(high_res_pixel_values.shape) != (pictures, 3, side, side):
                raise ValueError(
                    f"high_res_pixel_values must be [{pictures}, 3, S, S], one square picture for each of "
                    f"pixel_values, not {list(high_res_pixel_values.shape)}"
                )
            config.check_high_res_size(side, "the side of high_res_pixel_values")
        elif self.patch_info_mining is not None and not torch.compiler.is_compiling():
            logger.warning_once(
                "pixel_values came without high_res_pixel_values: this model's mining is left out, it sees the low resolution "
                "only. That is what a processor with do_high_res=False asks for; else give both. (Said once.)"
            )

    def get_placeholder_mask(
        self, input_ids: Tensor | None, inputs_embeds: Tensor, image_features: Tensor, images: int = 0
    ) -> Tensor:
        """Where image tokens stand, [B, L, 1].

        Raises:
            ValueError: their number is not that of the image features.
        """
        if input_ids is None:
            if not has_embedding(self.config):
                raise ValueError("the image token has no embedding in this model; give input_ids, not inputs_embeds")
            image_token = torch.full((), self.config.image_token_id, dtype=torch.long, device=inputs_embeds.device)
            mask = (inputs_embeds == self.get_input_embeddings()(image_token)).all(-1)
        else:
            mask = input_ids == self.config.image_token_id
        found = mask.sum()
        torch_compilable_check(
            found == image_features.shape[0],
            lambda: (
                f"the text has {int(found)} image tokens (id {self.config.image_token_id}), but the images give "
                f"{image_features.shape[0]} features ({images} images of {self.config.tokens_per_image} tokens); with a cache, "
                "give the new pictures only: those whose tokens it holds are not in the text any more"
            ),
        )
        return mask.unsqueeze(-1).to(inputs_embeds.device)

    @can_return_tuple
    def forward(  # type: ignore[misc]  # position_ids is among theirs, too, as in transformers' own models
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        high_res_pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        cache: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        mm_encoder_outputs: dict[str, BaseModelOutputWithPooling] | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> tuple | MiniGeminiModelOutputWithPast:
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give exactly one of input_ids and inputs_embeds")
        encoded: Any = (mm_encoder_outputs or {}).get("image")
        if encoded is not None and pixel_values is not None:
            raise ValueError("give either pixel_values or mm_encoder_outputs, not both")
        if pixel_values is not None:
            encoded = self.get_image_features(pixel_values, high_res_pixel_values, return_dict=True)
        if inputs_embeds is None:
            inputs_embeds = self.get_input_embeddings()(in_vocabulary(input_ids, self.config, encoded is not None))
        image_features = None
        if encoded is not None:
            image_features = encoded.pooler_output.flatten(0, 1).to(inputs_embeds.device, inputs_embeds.dtype)
            mask = self.get_placeholder_mask(input_ids, inputs_embeds, image_features, len(encoded.pooler_output))
            inputs_embeds = inputs_embeds.masked_scatter(mask, image_features)

        if use_cache is None and position_ids is not None and attention_mask is None:
            use_cache = False  # a cache made now would hide the packs in position_ids from transformers' masks
        outputs = self.language_model(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            use_cache=use_cache,
            **{CACHE: either_cache(cache, past_key_values)},
            **kwargs,
        )
        return MiniGeminiModelOutputWithPast(
            last_hidden_state=outputs.last_hidden_state,
            **{CACHE: getattr(outputs, CACHE)},
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            image_hidden_states=image_features,
        )


class MiniGeminiForConditionalGeneration(MiniGeminiPreTrainedModel, GenerationMixin):
    """The model with its language model head: text and pictures in, text out."""

    _tied_weights_keys = {"lm_head.weight": "model.language_model.embed_tokens.weight"}
    _tp_plan = {"lm_head": "colwise_gather_output"}

    def __init__(self, config: MiniGeminiConfig):
        super().__init__(config)
        self.model = MiniGeminiModel(config)
        self.lm_head = nn.Linear(config.text_config.hidden_size, config.text_config.vocab_size, bias=False)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.model.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module:
        return self.lm_head

    def set_output_embeddings(self, value: nn.Module) -> None:
        self.lm_head = value

    def get_image_features(
        self,
        pixel_values: Tensor,
        high_res_pixel_values: Tensor | None = None,
        output_mining_attentions: bool = False,
        **kwargs: Unpack[TransformersKwargs],
    ) -> tuple | MiniGeminiImageFeatures:
        """See [`MiniGeminiModel.get_image_features`]."""
        return self.model.get_image_features(pixel_values, high_res_pixel_values, output_mining_attentions, **kwargs)

    @can_return_tuple
    def forward(  # type: ignore[misc]  # position_ids is among theirs, too, as in transformers' own models
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        high_res_pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        cache: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        mm_encoder_outputs: dict[str, BaseModelOutputWithPooling] | None = None,
        **kwargs: Unpack[LossKwargs],
    ) -> tuple | MiniGeminiCausalLMOutputWithPast:
        r"""
        In training mode, a call with labels returns no logits: the head runs on the states of trained tokens alone, which
        gives the same loss and gradients. In eval mode, and without labels, there are logits of all positions, or of those
        that `logits_to_keep` says.

        Args:
            input_ids: [B, L], with `config.image_token_id` once for every image token.
            pixel_values: [N, 3, h, w] or [N, T, 3, h, w], the N pictures of the batch in reading order.
            high_res_pixel_values: [N, 3, S, S] of any size that fits; without it nothing is mined.
            position_ids: [B, L]. Without an attention mask, each 0 begins a sample of its own, which sees nothing before it (a pack); no
                cache is made then unless asked for, as transformers looks for packs only where there is none.
            labels: [B, L], -100 where nothing is to be learnt.
            mm_encoder_outputs: `{"image": get_image_features(...)}` in place of pixels.
            kwargs: [`LossKwargs`], and what the language model takes.
        """
        shift_labels = kwargs.pop("shift_labels", None)
        label_smoothing = kwargs.pop("label_smoothing", 0.0)
        num_items_in_batch = kwargs.pop("num_items_in_batch", None)
        outputs = self.model(
            input_ids=input_ids,
            pixel_values=pixel_values,
            high_res_pixel_values=high_res_pixel_values,
            attention_mask=attention_mask,
            position_ids=position_ids,
            cache=either_cache(cache, past_key_values),
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            mm_encoder_outputs=mm_encoder_outputs,
            return_dict=True,
            **kwargs,
        )
        states = outputs.last_hidden_state
        targets = next_tokens(labels, shift_labels)
        loss = token_losses = logits = None
        if targets is not None:
            trained = targets != IGNORED
            of_trained = self.lm_head(states[trained.to(states.device)])
            token_losses = TokenCrossEntropy.apply(of_trained, targets[trained].to(of_trained.device), label_smoothing)
            loss = mean_of(token_losses, num_items_in_batch)
        if targets is None or not self.training:
            kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
            logits = self.lm_head(states[:, kept])
        return MiniGeminiCausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            **{CACHE: getattr(outputs, CACHE)},
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            image_hidden_states=outputs.image_hidden_states,
            token_losses=None if token_losses is None else token_losses.detach(),
        )


def new_mining(config: MiniGeminiConfig, tower: MiniGeminiHighResVisionModel) -> PatchInfoMining:
    return PatchInfoMining(
        hidden_size=config.vision_config.hidden_size,
        stage_channels=tower.stage_channels,
        tokens_per_side=config.tokens_per_side,
        image_grid=config.image_grid,
        image_global=config.image_global,
    )


def norms(tokens: Tensor) -> Tensor:
    """[..., D] -> [...], in at least float32."""
    return tokens.to(torch.promote_types(tokens.dtype, torch.float32)).norm(dim=-1)


__all__ = [
    "MiniGeminiForConditionalGeneration",
    "MiniGeminiImageFeatures",
    "MiniGeminiModel",
    "MiniGeminiPreTrainedModel",
]
