"""What the model gives back."""

from dataclasses import dataclass

from torch import Tensor
from transformers.modeling_outputs import BaseModelOutputWithPast, BaseModelOutputWithPooling, CausalLMOutputWithPast


@dataclass
class MiniGeminiImageFeatures(BaseModelOutputWithPooling):
    r"""
    pooler_output: [N, tokens, hidden size of the language model], ready for it.
    last_hidden_state: what the low-resolution tower gave, [N * T, n * n, D].
    mining_attentions: [N, tokens, P, P] if asked for: where in its cell each image token looked.
    mining_residual_norms: [N, tokens], with them: what the high-resolution tower added to each token of the
        low-resolution tower, |mined| / |token| (before the projector).
    """

    mining_attentions: Tensor | None = None
    mining_residual_norms: Tensor | None = None


@dataclass
class MiniGeminiModelOutputWithPast(BaseModelOutputWithPast):
    r"""
    image_hidden_states: the image tokens as the language model got them, [all image tokens, hidden size].
    """

    image_hidden_states: Tensor | None = None


@dataclass
class MiniGeminiCausalLMOutputWithPast(CausalLMOutputWithPast):
    r"""
    loss: next-token cross entropy, if labels were given.
    logits: [B, L, vocabulary], or as many of the last positions as `logits_to_keep` says; none in training mode with labels.
    image_hidden_states: the image tokens as the language model got them, [all image tokens, hidden size].
    token_losses: with labels: the loss of each trained token in reading order, [trained tokens] float32, without gradient.
    """

    image_hidden_states: Tensor | None = None
    token_losses: Tensor | None = None
