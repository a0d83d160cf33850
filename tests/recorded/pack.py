"""Make the archives beside this file anew: `python tests/recorded/pack.py FOLDER`, with the whole recordings in FOLDER.

`original.tar.xz` is what tests read of FOLDER/parity; `samples.tar.xz` what they read of FOLDER/fixtures and what may be passed on
(see README.md). The same contents give the same bytes. Tensors that no test reads are left out; none is cast.
"""

import io
import json
import lzma
import sys
import tarfile
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path

from safetensors.torch import load, save

BATCH = ["in.*", "mid.projector_out", "prepared.inputs_embeds", "out.*", "gen.ids"]
STAGES = ["mid.hr_stage_*", "mid.lr_features", "mid.resampler0.out_mined", "mid.vlm_uni_query", "mid.vlm_uni_aux"]
STEPS = ["step*.input_ids", "step*.labels", "step*.attention_mask", "step*.images*", "init.*", "final.*"]
TENSORS = [  # the first line that fits a file says which tensors of it stay; none: the file is left out
    ("llama_std/case_single.safetensors", BATCH + STAGES),
    ("llama_std/case_truncated_late.safetensors", [*BATCH, "prepared.attention_mask"]),
    ("llama_std/case_truncated_in_image.safetensors", []),
    ("llama_std/resampler_edge.safetensors", ["plain.in_*", "plain.out_mined", "nan_q.in_lr", "nan_q.out_mined"]),
    ("*/case_*.safetensors", BATCH),
    ("llama_grads/*.safetensors", ["grad.*"]),
    ("train_llama/stage?.safetensors", STEPS),
    ("preprocess/cli_*_grid1.safetensors", ["*/images", "*/images_aux"]),
    ("preprocess/cli_*_grid2_global.safetensors", ["*/images", "*/images_aux"]),
    ("preprocess/real_sizes_pad.safetensors", ["*_every_*"]),
    ("preprocess/*.safetensors", []),
    ("*.safetensors", ["*"]),
]
WITHHELD = ["mme_lavin/*", "scienceqa_llava/*"]  # may not be passed on
UNREAD = ["*/README.md", "*.csv", "mathvista_testmini/responses_instruct_blip2_*"]
PROMPTS = {"gqa", "pope", "textvqa", "vizwiz"}  # the benchmarks whose questions may be passed on


def original(name: str, content: bytes) -> bytes:
    """A file of the original's recordings as it is packed; empty if it is not."""
    if name == "README.md":
        return b""
    if name.endswith("tokenizer.model"):
        # When the recordings were published, the first 12 characters of two paths in it were cut off, but not from the lengths.
        return content.replace(b"work/", b"." * 12 + b"work/")
    if not name.endswith(".safetensors"):
        return content
    kept = next(patterns for file, patterns in TENSORS if fnmatch(name, file))
    if kept == ["*"]:
        return content  # with its metadata
    tensors = {key: tensor for key, tensor in load(content).items() if any(fnmatch(key, pattern) for pattern in kept)}
    return save(tensors) if tensors else b""


def sample(name: str, content: bytes) -> bytes:
    """A file of predictions and scores as it is packed; empty if it is not."""
    if any(fnmatch(name, pattern) for pattern in WITHHELD + UNREAD):
        return b""
    if name == "llava_eval_prompts/prompts.jsonl":
        lines = content.decode().splitlines(keepends=True)
        return "".join(line for line in lines if json.loads(line)["benchmark"] in PROMPTS).encode()
    return content


def contents(folder: Path, packed: Callable[[str, bytes], bytes]) -> Iterator[tuple[str, bytes]]:
    """Names and contents of an archive, in its order."""
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = file.relative_to(folder).as_posix()
        if content := packed(name, file.read_bytes()):
            yield name, content


def pack(folder: Path, packed: Callable[[str, bytes], bytes], archive: Path) -> None:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        for name, content in contents(folder, packed):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    # lp and lc for values of four bytes; a window over everything, for tensors that lie in several files
    window = {"id": lzma.FILTER_LZMA2, "preset": 9, "lc": 2, "lp": 2, "pb": 2, "dict_size": 64 << 20}
    archive.write_bytes(lzma.compress(whole.getvalue(), filters=[window]))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    recordings, here = Path(sys.argv[1]), Path(__file__).parent
    for source in (recordings / "parity", recordings / "fixtures"):
        if not source.is_dir():
            sys.exit(f"{source} is not there")
    pack(recordings / "parity", original, here / "original.tar.xz")
    pack(recordings / "fixtures", sample, here / "samples.tar.xz")
