#!/usr/bin/env bash
# Compiles the eBPF programs of internal/linux/bpf/src with Debian's clang. The objects are part of
# the repository; TestObjectsAreOfTheSources compares them byte for byte.
# Usage: scripts/bpf.sh [directory]     where the objects go; in place of the committed ones
set -euo pipefail
cd "$(dirname "$0")/../internal/linux/bpf/src"
out=${1:-.}
for source in *.c; do
  object=$out/${source%.c}.o
  # The paths of sources are in the types of an object: they are those of this directory.
  clang-14 -target bpfel -mcpu=v3 -O2 -g -Wall -Werror "-fdebug-prefix-map=$PWD=." \
    -c "$source" -o "$object"
  llvm-strip-14 -g "$object"
done
