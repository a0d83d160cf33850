#!/usr/bin/env bash
# The two stages of the nano: align, then finetune from it. Interrupted, the same command goes on (--resume auto): a stage that is
# finished is not trained again, one that is not goes on from its last checkpoint.
#
#   train/stages.sh RUN_FOLDER [key.path=value ... for align] [-- key.path=value ... for finetune]
set -euo pipefail
cd "$(dirname "$0")/.."
run=$1; shift
align=() finetune=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do align+=("$1"); shift; done
[ $# -eq 0 ] || { shift; finetune=("$@"); }

launch=(python -m minigemini) device=()
if ! python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
  # On a CPU two processes of one thread each are faster than one process of two threads: the matrices are small.
  export OMP_NUM_THREADS=1
  launch=(torchrun --standalone --nproc_per_node 2 -m minigemini) device=(trainer.use_cpu=true)
fi

stage() {  # NAME [key.path=value ...]
  local output=$run/$1 recipe=train/recipes/nano/$1.yaml
  shift
  "${launch[@]}" train "$recipe" trainer.output_dir="$output" "${device[@]}" \
    trainer.save_strategy=steps trainer.save_steps=100 trainer.save_total_limit=1 "$@" --resume auto
}
stage align "${align[@]}"
stage finetune init_from="$run/align" "${finetune[@]}"
