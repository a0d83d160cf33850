"""The model as vLLM builds it."""

from torch import Tensor, nn

from minigemini.model.configuration_minigemini import MiniGeminiConfig
from minigemini.model.image_token import has_embedding
from minigemini.model.modeling_minigemini import MiniGeminiModel


class ServedModel(MiniGeminiModel):
    """vLLM looks every id up in the language model's embeddings before it puts pictures over the image tokens. One behind the vocabulary
    has no row, and the lookup would end the engine; here it reads that of word 0, which the picture then covers."""

    def __init__(self, config: MiniGeminiConfig):
        super().__init__(config)
        if not has_embedding(config):
            embeddings = self.language_model.get_input_embeddings  # asked each time: vLLM replaces them by its own
            self.language_model.get_input_embeddings = lambda: EmbeddingsInVocabulary(
                embeddings(), config.image_token_id
            )


class EmbeddingsInVocabulary(nn.Module):
    def __init__(self, embeddings: nn.Module, image_token_id: int):
        super().__init__()
        self.embeddings = embeddings
        self.image_token_id = image_token_id

    def forward(self, input_ids: Tensor) -> Tensor:
        embedded: Tensor = self.embeddings(input_ids.masked_fill(input_ids == self.image_token_id, 0))
        return embedded
