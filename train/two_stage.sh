#!/usr/bin/env bash
# The whole story on the nano: data -> align -> finetune -> evaluate -> a short chat with a picture in and a picture out.
#
#   train/two_stage.sh [RUN_FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
run=${1:-runs/nano}
[ ! -e "$run" ] || { echo "$run exists: remove it, or name another folder" >&2; exit 1; }
[ -e data/tabletop/finetune.json ] || minigemini data tabletop data/tabletop

train/stages.sh "$run"
minigemini eval tabletop --model "$run/finetune" --out "$run/eval"
python -m minigemini.evaluation.loss_curves "$run/loss.png" "$run/align" "$run/finetune"
minigemini data samples data/samples
echo "loss curves:            $run/loss.png"
echo "talk to it:             minigemini chat $run/finetune"
