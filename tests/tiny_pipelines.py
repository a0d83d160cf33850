"""Real diffusers pipelines with random weights, a few hundred thousand parameters each."""

from __future__ import annotations

import torch
from diffusers import (
    AutoencoderDC,
    AutoencoderKL,
    AutoencoderKLQwenImage,
    DDIMScheduler,
    DiffusionPipeline,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxKontextPipeline,
    FluxPipeline,
    FluxTransformer2DModel,
    LatentConsistencyModelPipeline,
    LCMScheduler,
    PixArtSigmaPipeline,
    PixArtTransformer2DModel,
    QwenImageEditPipeline,
    QwenImageEditPlusPipeline,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
    SanaPipeline,
    SanaTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionInstructPix2PixPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    Gemma2Config,
    Gemma2Model,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
    T5Config,
    T5EncoderModel,
)

WORDS = [
    "a",
    "an",
    "large",
    "small",
    "red",
    "blue",
    "green",
    "circle",
    "square",
    "triangle",
    "at",
    "the",
    "top",
    "left",
    "right",
    "center",
    "bottom",
    "and",
]


QWEN_TOKENS = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]


def tokenizer(length: int = 16, more: list[str] | None = None) -> PreTrainedTokenizerFast:
    vocabulary = {word: i for i, word in enumerate(["<bos>", "<eos>", "<pad>", "<unk>", *WORDS])}
    words = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    words.post_processor = TemplateProcessing(single="<bos> $A <eos>", special_tokens=[("<bos>", 0), ("<eos>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token="<pad>",
        unk_token="<unk>",
        model_max_length=length,
        additional_special_tokens=more,
    )


def autoencoder(**more: object) -> AutoencoderKL:
    settings = {
        "block_out_channels": (16, 32),
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
        "norm_num_groups": 8,
        "latent_channels": 4,
        "sample_size": 32,
    }
    return AutoencoderKL(**{**settings, **more})


def clip_config() -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(WORDS) + 4,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=16,
        projection_dim=32,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
    )


def unet(**more: object) -> UNet2DConditionModel:
    settings = {
        "sample_size": 16,
        "block_out_channels": (16, 32),
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "cross_attention_dim": 32,
        "attention_head_dim": 8,
        "norm_num_groups": 8,
    }
    return UNet2DConditionModel(**{**settings, **more})


def t5() -> T5EncoderModel:
    config = T5Config(vocab_size=len(WORDS) + 4, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4)
    return T5EncoderModel(config).eval()


def pixart(seed: int = 0) -> PixArtSigmaPipeline:
    """The kind nano has: 48x48 pixels, DPM-Solver++."""
    torch.manual_seed(seed)
    transformer = PixArtTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=4,
        out_channels=8,
        num_layers=2,
        cross_attention_dim=32,
        sample_size=24,
        patch_size=2,
        caption_channels=32,
        use_additional_conditions=False,
    )
    scheduler = DPMSolverMultistepScheduler(prediction_type="v_prediction")
    return PixArtSigmaPipeline(
        tokenizer=tokenizer(),
        text_encoder=t5(),
        vae=autoencoder().eval(),
        transformer=transformer.eval(),
        scheduler=scheduler,
    )


def stable_diffusion(seed: int = 0) -> StableDiffusionPipeline:
    torch.manual_seed(seed)
    return StableDiffusionPipeline(
        vae=autoencoder().eval(),
        text_encoder=CLIPTextModel(clip_config()).eval(),
        tokenizer=tokenizer(),
        unet=unet().eval(),
        scheduler=DDIMScheduler(clip_sample=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def stable_diffusion_xl(seed: int = 0) -> StableDiffusionXLPipeline:
    torch.manual_seed(seed)
    return StableDiffusionXLPipeline(
        vae=autoencoder().eval(),
        text_encoder=CLIPTextModel(clip_config()).eval(),
        text_encoder_2=CLIPTextModelWithProjection(clip_config()).eval(),
        tokenizer=tokenizer(),
        tokenizer_2=tokenizer(),
        unet=unet(
            cross_attention_dim=64,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + 32,
        ).eval(),
        scheduler=EulerDiscreteScheduler(),
        add_watermarker=False,
    )


def latent_consistency(seed: int = 0) -> LatentConsistencyModelPipeline:
    """Few steps: guidance is an input of the UNet, and there is no negative prompt."""
    torch.manual_seed(seed)
    return LatentConsistencyModelPipeline(
        vae=autoencoder().eval(),
        text_encoder=CLIPTextModel(clip_config()).eval(),
        tokenizer=tokenizer(),
        unet=unet(time_cond_proj_dim=32).eval(),
        scheduler=LCMScheduler(clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def instruct_pix2pix(seed: int = 0) -> StableDiffusionInstructPix2PixPipeline:
    """Edits by instruction: the UNet reads the picture's latents beside the noise."""
    torch.manual_seed(seed)
    return StableDiffusionInstructPix2PixPipeline(
        vae=autoencoder().eval(),
        text_encoder=CLIPTextModel(clip_config()).eval(),
        tokenizer=tokenizer(),
        unet=unet(in_channels=8, out_channels=4).eval(),
        scheduler=DDIMScheduler(clip_sample=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def stable_diffusion_inpaint(seed: int = 0) -> StableDiffusionInpaintPipeline:
    """Trained for it: the UNet reads mask and masked picture beside the noise."""
    torch.manual_seed(seed)
    return StableDiffusionInpaintPipeline(
        vae=autoencoder().eval(),
        text_encoder=CLIPTextModel(clip_config()).eval(),
        tokenizer=tokenizer(),
        unet=unet(in_channels=9, out_channels=4).eval(),
        scheduler=DDIMScheduler(clip_sample=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def sana(seed: int = 0) -> SanaPipeline:
    torch.manual_seed(seed)
    gemma = Gemma2Config(
        vocab_size=len(WORDS) + 4,
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=4,
    )
    transformer = SanaTransformer2DModel(
        patch_size=1,
        in_channels=4,
        out_channels=4,
        num_layers=1,
        num_attention_heads=2,
        attention_head_dim=4,
        num_cross_attention_heads=2,
        cross_attention_head_dim=4,
        cross_attention_dim=8,
        caption_channels=8,
        sample_size=32,
    )
    vae = AutoencoderDC(
        in_channels=3,
        latent_channels=4,
        attention_head_dim=2,
        encoder_block_types=("ResBlock", "EfficientViTBlock"),
        decoder_block_types=("ResBlock", "EfficientViTBlock"),
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        encoder_qkv_multiscales=((), (5,)),
        decoder_qkv_multiscales=((), (5,)),
        encoder_layers_per_block=(1, 1),
        decoder_layers_per_block=(1, 1),
        downsample_block_type="conv",
        upsample_block_type="interpolate",
        decoder_norm_types="rms_norm",
        decoder_act_fns="silu",
        scaling_factor=0.41407,
    )
    return SanaPipeline(
        tokenizer=tokenizer(300),
        text_encoder=Gemma2Model(gemma).eval(),
        vae=vae.eval(),
        transformer=transformer.eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
    )


def stable_diffusion_3(seed: int = 0) -> StableDiffusion3Pipeline:
    torch.manual_seed(seed)
    transformer = SD3Transformer2DModel(
        sample_size=16,
        patch_size=1,
        in_channels=16,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=64,
        caption_projection_dim=32,
        pooled_projection_dim=64,
        out_channels=16,
    )
    # The two CLIPs' states lie side by side and are padded to the width of T5's.
    wide = T5Config(vocab_size=len(WORDS) + 4, d_model=64, d_kv=8, d_ff=64, num_layers=2, num_heads=4)
    return StableDiffusion3Pipeline(
        transformer=transformer.eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=autoencoder(latent_channels=16, shift_factor=0.06).eval(),
        text_encoder=CLIPTextModelWithProjection(clip_config()).eval(),
        tokenizer=tokenizer(),
        text_encoder_2=CLIPTextModelWithProjection(clip_config()).eval(),
        tokenizer_2=tokenizer(),
        text_encoder_3=T5EncoderModel(wide).eval(),
        tokenizer_3=tokenizer(),
    )


def flux(
    seed: int = 0,
    kind: type[DiffusionPipeline] = FluxPipeline,
    guidance_embeds: bool = True,
    dynamic_shift: bool = True,
) -> DiffusionPipeline:
    """Distilled guidance: the scale is an input of the transformer. Without it and with a shift of its own: schnell."""
    torch.manual_seed(seed)
    transformer = FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=32,
        axes_dims_rope=(4, 4, 8),
        guidance_embeds=guidance_embeds,
    )
    return kind(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=dynamic_shift),
        vae=autoencoder(shift_factor=0.06).eval(),
        text_encoder=CLIPTextModel(clip_config()).eval(),
        tokenizer=tokenizer(),
        text_encoder_2=t5(),
        tokenizer_2=tokenizer(),
        transformer=transformer.eval(),
    )


def flux_kontext(seed: int = 0) -> DiffusionPipeline:
    """Edits by instruction: the picture's tokens stand behind the noise's."""
    return flux(seed, FluxKontextPipeline)


def qwen_text_encoder(**more: object) -> Qwen2_5_VLForConditionalGeneration:
    text = {
        "vocab_size": len(WORDS) + 4 + len(QWEN_TOKENS),
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "rope_scaling": {"mrope_section": [1, 1, 2], "rope_type": "default", "type": "default"},
        "rope_theta": 1000000.0,
        "bos_token_id": 0,
        "eos_token_id": 1,
    }
    vision = {"depth": 2, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 16}
    config = Qwen2_5_VLConfig(text_config=text, vision_config=vision, **more)
    return Qwen2_5_VLForConditionalGeneration(config).eval()


def qwen_transformer() -> QwenImageTransformer2DModel:
    return QwenImageTransformer2DModel(
        patch_size=2,
        in_channels=16,
        out_channels=4,
        num_layers=2,
        attention_head_dim=16,
        num_attention_heads=3,
        joint_attention_dim=16,
        guidance_embeds=False,
        axes_dims_rope=(8, 4, 4),
    ).eval()


def qwen_autoencoder(halvings: int, base_dim: int = 24) -> AutoencoderKLQwenImage:
    return AutoencoderKLQwenImage(
        base_dim=base_dim,
        z_dim=4,
        dim_mult=[1, 2, 4, 4, 4][: halvings + 1],
        num_res_blocks=1,
        temperal_downsample=[False, True, True, True][:halvings],
        latents_mean=[0.1] * 4,
        latents_std=[1.5] * 4,
    ).eval()


def qwen_image(seed: int = 0) -> QwenImagePipeline:
    torch.manual_seed(seed)
    return QwenImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=qwen_autoencoder(2),
        text_encoder=qwen_text_encoder(),
        tokenizer=tokenizer(1024),
        transformer=qwen_transformer(),
    )


def qwen_image_edit(seed: int = 0, kind: type[DiffusionPipeline] = QwenImageEditPipeline) -> DiffusionPipeline:
    """Edits by instruction; it brings every picture to a million pixels first, of which this autoencoder leaves 64x64."""
    torch.manual_seed(seed)
    words = tokenizer(1024, QWEN_TOKENS)
    start, _, image, video = words.convert_tokens_to_ids(QWEN_TOKENS)
    processor = Qwen2VLProcessor(
        Qwen2VLImageProcessor(size={"shortest_edge": 28 * 28, "longest_edge": 56 * 56}), words, Qwen2VLVideoProcessor()
    )
    return kind(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=qwen_autoencoder(4, base_dim=4),
        text_encoder=qwen_text_encoder(image_token_id=image, video_token_id=video, vision_start_token_id=start),
        tokenizer=words,
        processor=processor,
        transformer=qwen_transformer(),
    )


def qwen_image_edit_plus(seed: int = 0) -> DiffusionPipeline:
    return qwen_image_edit(seed, QwenImageEditPlusPipeline)
