"""Recipes of before ``modules:``, which named ``trainable`` modules and their ``learning_rates``: refused with the new form."""

from typing import Any

import yaml


def refuse_old_form(recipe: dict[str, Any], where: object) -> None:
    """
    Args:
        recipe: what the YAML file holds, with overrides.
        where: the words for the place, to start the message with.

    Raises:
        ValueError: it has an old key; the message has the section that says the same, made of its own values.
    """
    old = [key for key in ("trainable", "learning_rates") if key in recipe]
    if not old:
        return
    trainable, rates = recipe.get("trainable") or [], recipe.get("learning_rates") or {}
    names = [*trainable, *(name for name in rates if name not in trainable)]
    plans = {str(name): {"train": "full"} | ({"learning_rate": rates[name]} if name in rates else {}) for name in names}
    plans |= recipe.get("modules") or {}
    lines = [
        f"  {name}: {yaml.safe_dump(plan, default_flow_style=True, sort_keys=False)}" for name, plan in plans.items()
    ]
    raise ValueError(
        f"{where}: {' and '.join(old)} became `modules`, a plan for each module that is trained. What this recipe says is now:\n"
        f"modules:\n{''.join(lines)}"
    )
