"""What could move into transformers as it stands. Importing it registers its classes with the Auto classes.

patch_info_mining            the heart: low-resolution tokens read the high-resolution patch under them
configuration_minigemini     sizes, and whether they fit each other
modeling_minigemini          towers, mining, projector, language model (outputs: what it returns)
loss                         next-token cross entropy of the trained tokens alone
packed_attention             attention within the samples of a pack, without a kernel for it
high_res_vision_tower        a ConvNeXt of timm, stage by stage
image_processing_minigemini  a picture -> the pixels of both towers
processing_minigemini        text and pictures -> inputs of the model
image_token                  a token that may stand behind the vocabulary
remote_code                  what saved folders carry for a process that knows only transformers (import_minigemini)
transformers_versions        what depends on the version of transformers
"""

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
