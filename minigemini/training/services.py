"""What transformers' Trainer will ask of other packages and of the hub, asked before the data is read."""

from huggingface_hub import HfApi, constants, get_token
from transformers import TrainingArguments
from transformers.integrations import get_reporting_integration_callbacks


def check_services(arguments: TrainingArguments) -> None:
    """
    Raises:
        ValueError: a package that ``trainer.report_to`` names is not there, or ``trainer.push_to_hub`` cannot work.
    """
    for name in arguments.report_to or []:
        try:
            for callback in get_reporting_integration_callbacks([name]):
                callback()  # says what it lacks
        except (ValueError, RuntimeError, ImportError) as error:
            raise ValueError(f"trainer.report_to={name}: {error}") from error
    if arguments.push_to_hub and arguments.should_save:
        check_hub(arguments.hub_token or get_token())


def check_hub(token: str | None) -> None:
    """
    Raises:
        ValueError: no token, a mode without network, or the hub does not know the token or cannot be reached.
    """
    if constants.HF_HUB_OFFLINE:
        raise ValueError("trainer.push_to_hub: HF_HUB_OFFLINE is set, nothing can be uploaded")
    if token is None:
        raise ValueError(
            "trainer.push_to_hub: no token; log in with `hf auth login`, or set trainer.hub_token or HF_TOKEN"
        )
    try:
        HfApi().whoami(token)
    except Exception as error:  # of the network library of whatever version; all that counts is that it will not work
        raise ValueError(f"trainer.push_to_hub: the hub says no, or nothing: {str(error).splitlines()[0]}") from error
