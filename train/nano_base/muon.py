"""Muon, in float32."""

from collections.abc import Iterable

import torch
from torch import Tensor


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised by five Newton-Schulz steps (Jordan et al., 2024; coefficients of that work), for the matrices.

    torch.optim.Muon does the same in bfloat16, which a CPU without such instructions takes twenty times as long for. The step is
    scaled to the size of AdamW's, as there (``match_rms_adamw``).
    """

    def __init__(self, parameters: Iterable[Tensor], lr: float, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # no closures here
        for group in self.param_groups:
            for parameter in group["params"]:
                state = self.state[parameter]
                velocity = state.setdefault("velocity", torch.zeros_like(parameter))
                velocity.lerp_(parameter.grad, 1 - group["momentum"])
                update = parameter.grad.lerp(velocity, group["momentum"])
                wide = update if update.shape[0] <= update.shape[1] else update.T
                x = wide / (wide.norm() + 1e-7)
                for _ in range(5):
                    gram = x @ x.T
                    x = 3.4445 * x + (-4.775 * gram + 2.0315 * gram @ gram) @ x
                x = x if update.shape[0] <= update.shape[1] else x.T
                parameter.sub_(x, alpha=group["lr"] * 0.2 * max(parameter.shape) ** 0.5)
