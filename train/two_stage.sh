#!/usr/bin/env bash
# The whole story on the nano: data -> align -> finetune -> evaluate -> a short chat with pictures in and pictures out.
#
#   train/two_stage.sh [RUN_FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
run=${1:-runs/nano}
if [ -e "$run" ]; then
  echo "$run exists: remove it, or name another folder (train/two_stage.sh FOLDER)" >&2
  exit 1
fi
[ -e data/tabletop/finetune.json ] || minigemini data tabletop data/tabletop

train/stages.sh "$run"
minigemini eval tabletop --model "$run/finetune" --out "$run/eval"
python -m minigemini.evaluation.loss_curves "$run/align" "$run/finetune" --out "$run/loss.png"
python eval/sample_conversations.py "$run/finetune" "$run/samples.html"

echo
echo "results:              $run/eval/results.md"
echo "loss curves:          $run/loss.png"
echo "sample conversations: $run/samples.html"
echo "talk to it:           source .venv/bin/activate && minigemini chat $run/finetune --generator nano"
