#!/usr/bin/env bash
# Both stages on a pretrained language model that is not ours: SmolLM2 is to learn to see the tabletop by low-rank layers, and to know
# still what it knew. Interrupted, the same command goes on where it stopped.
#
#   make smollm2
set -euo pipefail
cd "$(dirname "$0")/../.."
run=runs/smollm2 data=data/smollm2

launch=(python -m minigemini) device=()
if ! python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
  export OMP_NUM_THREADS=1 # two processes of one thread each, as in train/stages.sh
  launch=(torchrun --standalone --nproc_per_node 2 -m minigemini) device=(trainer.use_cpu=true)
fi

[ -e $run/language_model/config.json ] || python train/smollm2/language_model.py $run/language_model
[ -e $data/finetune.json ] || minigemini data tabletop $data --conversations 6000 --questions colour shape existence
[ -e $data/own_words.json ] || python train/smollm2/own_words.py $run/language_model $data/own_words.json
for stage in align finetune; do
  "${launch[@]}" train smollm2/$stage "${device[@]}" trainer.save_strategy=steps trainer.save_steps=50 --resume auto
done
[ -e $run/merged/config.json ] || minigemini merge $run/finetune $run/merged
minigemini eval smollm2 --model $run/merged --out $run/eval
minigemini chat $run/merged --prompt "What is the capital of France?"
