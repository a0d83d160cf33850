#!/usr/bin/env bash
# Train the shipped nano and its low-res-only control on nano-base, with the recipes of train/recipes/nano, and put both into the package.
#
#   train/nano_base/ship.sh [RUN_FOLDER]
set -euo pipefail
cd "$(dirname "$0")/../.."
run=${1:-runs/ship}
[ -e data/tabletop/finetune.json ] || minigemini data tabletop data/tabletop

train/stages.sh "$run/nano"
train/stages.sh "$run/low-res" init_from.high_res_vision_tower=null "modules={multi_modal_projector: {train: full}}" \
  -- "modules={multi_modal_projector: {train: full, learning_rate: 2.0e-3}, language_model: {train: full}}"
python train/nano_base/ship.py nano "$run/nano/finetune"
python train/nano_base/ship.py nano-low-res "$run/low-res/finetune"
