#!/usr/bin/env bash
# The whole story on the nano: data -> align -> finetune -> evaluate -> a short chat with pictures in and pictures out.
# Interrupted, the same command goes on where it stopped.
#
#   train/two_stage.sh [RUN_FOLDER [key.path=value ... for align] [-- key.path=value ... for finetune]]
#
# For a smaller story: CONVERSATIONS of the data (16000), its folder DATA (data/tabletop), LIMIT of examples a kind (all).
set -euo pipefail
cd "$(dirname "$0")/.."
run=${1:-runs/nano}; shift $(( $# > 0 ))
data=${DATA:-data/tabletop}
align=("data.sources=[{path: $data/align.json}]") finetune=("data.sources=[{path: $data/finetune.json}]")
while [ $# -gt 0 ] && [ "$1" != -- ]; do align+=("$1"); shift; done
[ $# -eq 0 ] || { shift; finetune+=("$@"); }

# finetune.json is the last file that is written, and is there only if it is whole
[ -e "$data/finetune.json" ] || minigemini data tabletop "$data" --conversations "${CONVERSATIONS:-16000}"
train/stages.sh "$run" "${align[@]}" -- "${finetune[@]}"
minigemini eval tabletop --model "$run/finetune" --out "$run/eval" ${LIMIT:+--limit "$LIMIT"}
minigemini runs compare "$run/align" "$run/finetune" --out "$run/loss.png"
python eval/sample_conversations.py "$run/finetune" "$run/samples.html"

echo
echo "results:              $run/eval/results.md"
echo "loss curves:          $run/loss.png"
echo "sample conversations: $run/samples.html"
echo "talk to it:           source .venv/bin/activate && minigemini chat $run/finetune --generator nano"
