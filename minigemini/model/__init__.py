"""The model layer. Importing it registers its classes with the Auto classes of transformers."""

from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageTextToText,
    AutoModelForMultimodalLM,
    AutoProcessor,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES

from .configuration_minigemini import MiniGeminiConfig, MiniGeminiHighResVisionConfig
from .high_res_vision_tower import MiniGeminiHighResVisionModel
from .image_processing_minigemini import MiniGeminiImageProcessor
from .modeling_minigemini import MiniGeminiForConditionalGeneration, MiniGeminiModel
from .processing_minigemini import MiniGeminiProcessor

AutoConfig.register("minigemini", MiniGeminiConfig)
AutoConfig.register("minigemini_high_res_vision", MiniGeminiHighResVisionConfig)
AutoModel.register(MiniGeminiConfig, MiniGeminiModel)
AutoModel.register(MiniGeminiHighResVisionConfig, MiniGeminiHighResVisionModel)
AutoModelForImageTextToText.register(MiniGeminiConfig, MiniGeminiForConditionalGeneration)
AutoModelForMultimodalLM.register(MiniGeminiConfig, MiniGeminiForConditionalGeneration)
# `pipeline("any-to-any")` and `transformers serve` look among the names.
MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES["minigemini"] = MiniGeminiForConditionalGeneration.__name__
AutoImageProcessor.register(  # the one class, whichever backend is asked for
    MiniGeminiConfig,
    slow_image_processor_class=MiniGeminiImageProcessor,
    fast_image_processor_class=MiniGeminiImageProcessor,
)
AutoProcessor.register(MiniGeminiConfig, MiniGeminiProcessor)

__all__ = [
    "MiniGeminiConfig",
    "MiniGeminiForConditionalGeneration",
    "MiniGeminiHighResVisionConfig",
    "MiniGeminiHighResVisionModel",
    "MiniGeminiImageProcessor",
    "MiniGeminiModel",
    "MiniGeminiProcessor",
]
