#!/bin/sh
# Compile punctum's kernels ahead of the first real run: one short live run and one offline run of a bundle on a
# rendered clip. Usage: warm.sh BUNDLE (a bundle that takes video, such as "default").
set -eu
bundle=${1:?usage: warm.sh BUNDLE}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
punctum data make-videos --out "$scratch/clips" --count 2 --seconds 10 >/dev/null
clip=$(find "$scratch/clips/videos" -type f | head -n 1)
punctum run "$bundle" "$clip" --stream --max-delay 1 --out "$scratch/live.jsonl"
punctum run "$bundle" "$clip" --out "$scratch/offline.jsonl"
