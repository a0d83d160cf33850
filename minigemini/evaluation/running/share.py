"""Several processes answer one benchmark: which part is whose."""

from collections.abc import Callable
from dataclasses import dataclass


def _alone() -> None:
    pass


@dataclass(frozen=True)
class Share:
    """
    Attributes:
        number: of this process; number 0 keeps the files.
        of: how many processes there are.
        wait: returns when all of them have called it.
    """

    number: int = 0
    of: int = 1
    wait: Callable[[], None] = _alone

    @property
    def first(self) -> bool:
        return self.number == 0

    def takes(self, number: int) -> bool:
        """Whether batch ``number`` is this process's. The batches themselves must not depend on how many processes there are, nor on
        what is already answered: then the numbers are the same to the last bit, however often a run was interrupted."""
        return number % self.of == self.number


ALONE = Share()
