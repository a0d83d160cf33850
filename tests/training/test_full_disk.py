"""A file that the system refuses to go on with while a checkpoint is written, as with a quota: free bytes say nothing of it."""

import resource

import pytest
from small_run import losses

from minigemini.training.run import train

SAVING = ["trainer.save_strategy=steps", "trainer.save_steps=2"]
LARGEST_FILE = 2**16  # bytes, less than the weights


def test_a_write_that_fails_leaves_the_checkpoint_before_it(align, tmp_path, monkeypatch):
    whole = train(align, [*SAVING, f"trainer.output_dir={tmp_path / 'whole'}"])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with monkeypatch.context() as patch:
        patch.setattr("minigemini.training.trainer.Progress.on_step_end", no_large_files_from_step_4)
        try:
            with pytest.raises(
                OSError, match="the disk is full while checkpoint-4 is written .*checkpoint-2 is the last whole"
            ):
                train(align, SAVING)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert sorted(path.name for path in (tmp_path / "align").glob("*")) == ["checkpoint-2", "recipe.yaml", "run.json"]
    resumed = train(align, SAVING, resume="auto")
    assert (resumed / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert losses(resumed) == losses(whole)


def no_large_files_from_step_4(self, args, state, control, **kwargs):
    if state.global_step == 4:
        resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
