#!/usr/bin/env bash
# Make nano-base from nothing: tokenizer, language model, both towers, image generator. Interrupted, run it again: it goes on.
# Two jobs side by side, one thread each; measured times are in README.md.
#
#   train/nano_base/make.sh [BUILD_FOLDER]
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${1:-build/nano_base}
words=$build/words
export OMP_NUM_THREADS=1
[ -e "$words/tokenizer.json" ] || python train/nano_base/tokenizer.py "$words"

language() {
  [ -e "$words/model.safetensors" ] || python train/nano_base/language_model.py "$words"
  [ -e "$build/language_model/model.safetensors" ] || python train/nano_base/language_model.py "$build/language_model" \
    --after "$words" --steps 7000 --peak-lr 2e-3
}
vision_and_drawing() {
  [ -e "$build/high_res_vision_tower/model.safetensors" ] || python train/nano_base/towers.py high "$words" "$build/high_res_vision_tower"
  [ -e "$build/vision_tower/model.safetensors" ] || python train/nano_base/towers.py low "$words" "$build/vision_tower"
  [ -e "$build/image_generator/vae/config.json" ] || python train/nano_base/image_generator.py autoencoder "$words" "$build/image_generator"
  [ -e "$build/image_generator/model_index.json" ] || python train/nano_base/image_generator.py diffusion "$words" "$build/image_generator"
}
language & first=$!
vision_and_drawing
wait $first
python train/nano_base/ship.py base "$build"
