#!/bin/sh
# A script for qemu-img as people write it; runs with whichever qemu-img is first in PATH.
set -e
qemu-img create -q -f raw base.img 4M
printf 'some data' | dd of=base.img conv=notrunc bs=1 seek=1000000 status=none
qemu-img create -q -f qcow2 -b base.img -F raw overlay.qcow2
cp --sparse=always base.img other.img
qemu-img rebase -b other.img -F raw overlay.qcow2
qemu-img commit -q overlay.qcow2
qemu-img bitmap --add overlay.qcow2 changes
qemu-img info --output=json overlay.qcow2 | grep -q '"name": "changes"'
qemu-img convert -c -O qcow2 overlay.qcow2 packed.qcow2
qemu-img check packed.qcow2
qemu-img resize -f raw --shrink other.img 3M
qemu-img resize -q -f raw other.img 4M
qemu-img convert -O qed packed.qcow2 copy.qed
if qemu-img compare packed.qcow2 copy.qed; then echo same; fi
if qemu-img check nowhere.qcow2 2>message; then exit 1; else echo "exit code $?"; fi
cat message
qemu-img info packed.qcow2 | grep -c 'compat: 1.1'
