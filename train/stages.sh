#!/usr/bin/env bash
# The two stages of the nano: align, then finetune from it.
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
"${launch[@]}" train train/recipes/nano/align.yaml trainer.output_dir="$run/align" "${device[@]}" "${align[@]}"
"${launch[@]}" train train/recipes/nano/finetune.yaml init_from="$run/align" trainer.output_dir="$run/finetune" "${device[@]}" \
  "${finetune[@]}"
