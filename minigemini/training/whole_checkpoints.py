"""A Trainer whose checkpoints and whose finished model are there whole or not at all."""

from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import nn
from transformers import Trainer

from minigemini.training import room
from minigemini.training.checkpoints_on_disk import (
    BESIDE,
    STATE,
    clear_beside,
    output_of,
    put_files_in_place,
    put_in_place,
    remove_old,
)
from minigemini.training.finite import check_weights


class WholeCheckpointTrainer(Trainer):
    """All processes write beside (under ZeRO each has files of its own); when all have, the first puts what is written in its place."""

    writes_beside = False
    bytes_besides = 0  # of what a checkpoint has besides what Trainer writes

    def _get_output_dir(self, trial: Any) -> str:
        folder = super()._get_output_dir(trial)
        return str(Path(folder) / BESIDE) if self.writes_beside else folder

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        if not self.writes_beside:  # it goes on while the training does, from where the checkpoint will stay
            super()._push_from_checkpoint(checkpoint_folder)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        assert self.model is not None
        output, name = output_of(self.args), f"checkpoint-{self.state.global_step}"
        check_weights(self.model, self.state.global_step, self.args)
        room.check_for_checkpoint(self.model, self.args, self.bytes_besides)
        self.writes_beside = True
        try:
            super()._save_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                self._name_best_in_place(output, name)
                put_in_place(output, name)
                remove_old(output, self.args.save_total_limit, self.state.best_model_checkpoint)
        except (OSError, RuntimeError, SafetensorError) as error:  # each library has its own words for a full disk
            if not room.is_full(self.model, self.args, self.bytes_besides):
                raise
            clear_beside(output)
            raise OSError(
                f"{output}: the disk is full while {name} is written ({error}); {room.last_whole(output)}"
                "make room and go on with --resume"
            ) from error
        finally:
            self.writes_beside = False
        self.accelerator.wait_for_everyone()
        if self.args.push_to_hub:
            self._push_from_checkpoint(str(output / name))

    def _name_best_in_place(self, output: Path, name: str) -> None:
        """Where the best checkpoint so far is the one being written, its state says where it will be."""
        if self.state.best_model_checkpoint == str(output / BESIDE / name):
            self.state.best_model_checkpoint = str(output / name)
            self.state.save_to_json(str(output / BESIDE / name / STATE))

    def save_finished(self) -> None:
        """The model, what belongs to it, and ``trainer_state.json``, by which a folder is known as that of a finished run."""
        assert self.model is not None
        output, name = output_of(self.args), "finished"
        check_weights(self.model, self.state.global_step, self.args)
        room.check_for_model(self.model, self.args)
        self.save_model(str(output / BESIDE / name), _internal_call=True)
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            self.state.save_to_json(str(output / BESIDE / name / STATE))
            put_files_in_place(output, name)
        self.accelerator.wait_for_everyone()
        if self.args.push_to_hub:
            self.push_to_hub(commit_message="Model save", revision=self.args.hub_revision)
