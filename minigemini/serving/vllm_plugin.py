"""What vLLM calls in each of its processes (entry point ``vllm.general_plugins``), so that it knows our architecture."""


def register() -> None:
    """Give transformers our configuration, model and processor.

    vLLM looks an architecture's class up by name in ``transformers`` and chooses its own wrapper, for a dense language model or a
    mixture of experts, by the configuration; a wrapper named here would be the wrong one for half of the checkpoints.
    """
    import transformers
    from transformers import AutoModel, AutoModelForImageTextToText  # with the Auto classes come ours

    from minigemini.serving.vllm_model import ServedModel

    config = transformers.CONFIG_MAPPING["minigemini"]
    transformers.MiniGeminiForConditionalGeneration = AutoModelForImageTextToText._model_mapping[config]  # type: ignore[attr-defined]
    AutoModel.register(config, ServedModel, exist_ok=True)  # what vLLM builds and puts its own layers into
