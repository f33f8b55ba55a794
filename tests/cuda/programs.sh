#!/usr/bin/env bash
# The programs of a CUDA build, end to end: two training steps of `tiny` and one image from what they learned.
#
#   programs.sh FOLDER_OF_PROGRAMS DEVICE     cpu: the GPU is hidden, and "auto" must take the CPU; cuda: on the GPU
set -euo pipefail
programs=$(cd "$1" && pwd) device=$2
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"

fail() { echo "programs: $*" >&2; exit 1; }
train() { "$programs/train_celeba" images --preset tiny --batch 4 --steps 2 --sample-count 1 --sample-steps 2 --out run "$@"; }

mkdir images
for i in 1 2 3 4 5 6 7 8; do
  { printf 'P6\n16 16\n255\n'; head -c 768 < <(yes "picture $i of some colours"); } > "images/$i.ppm"
done

if [[ $device == cpu ]]; then
  export CUDA_VISIBLE_DEVICES=
  if train --device cuda > out.txt 2> err.txt; then fail "--device cuda went on without a GPU"; fi
  [[ $(wc -l < err.txt) == 1 ]] || fail "--device cuda printed more than one line: $(cat err.txt)"
  grep -q '^train_celeba: CUDA cannot be used: .*--device cpu' err.txt || fail "--device cuda did not say why: $(cat err.txt)"
  cat err.txt
  device=auto
else
  status=0
  train --device cuda --dry-run > out.txt 2>&1 || status=$?
  if grep -q 'CUDA cannot be used' out.txt; then echo "no GPU: $(cat out.txt)"; exit 77; fi
  [[ $status == 0 ]] || fail "a dry run ended with $status: $(cat out.txt)"
fi
train --device "$device"
[[ -s run/checkpoints/step-00000002/state.safetensors ]] || fail "no checkpoint after two steps"
"$programs/sample" --run run --sampler heun --steps 2 --count 1 --out made --device "$device"
[[ -s made/000000.png ]] || fail "no image was made"
