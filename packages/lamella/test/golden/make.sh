#!/bin/sh
# Makes the golden images of this folder with qemu-img and qemu-io (7.2.22), gzips them and writes down
# the SHA-256 of what a guest reads. Run it in an empty folder and copy the results here.
set -eu
umask 022

io() { # format file command...
  format=$1 file=$2
  shift 2
  for command in "$@"; do qemu-io -f "$format" -c "$command" "$file" > /dev/null; done
}

qemu-img create -q -f qcow2 -o compat=0.10,cluster_size=512 v2.qcow2 96K
io qcow2 v2.qcow2 'write -P 0x11 0 4096' 'write -P 0x12 40000 3000' 'write -P 0x13 97792 512'

qemu-img create -q -f qcow2 -o compat=1.1,cluster_size=512 v3.qcow2 96K
io qcow2 v3.qcow2 'write -P 0x21 512 5000' 'write -z 2048 1024' 'write -z -u 20480 2048' \
  'write -P 0x22 65536 4096' 'discard 66560 512'

qemu-img create -q -f qcow2 -o compat=1.1,cluster_size=16k,extended_l2=on extended.qcow2 160K
io qcow2 extended.qcow2 'write -P 0x31 1024 3000' 'write -z 2048 512' 'write -P 0x32 40000 50000' \
  'write -z -u 65536 16384' 'write -P 0x33 163328 512'

qemu-img create -q -f raw content.raw 96K
io raw content.raw 'write -P 0x41 0 20000' 'write -P 0x42 30000 1000' 'write -P 0x43 80000 9000'
qemu-img convert -q -c -f raw -O qcow2 -o compat=1.1,cluster_size=4k content.raw compressed.qcow2
io qcow2 compressed.qcow2 'write -P 0x44 4096 512'

qemu-img create -q -f qcow2 -o compat=1.1,cluster_size=512 snapshot.qcow2 64K
io qcow2 snapshot.qcow2 'write -P 0x51 0 8192'
qemu-img snapshot -c before snapshot.qcow2
io qcow2 snapshot.qcow2 'write -P 0x52 1024 1024' 'write -P 0x53 40960 1024'

qemu-img create -q -f qed -o cluster_size=4096,table_size=2 plain.qed 128K
io qed plain.qed 'write -P 0x61 0 6000' 'write -P 0x62 50000 8000' 'write -P 0x63 130560 512'

# (QEMU 7.2 refuses to open its own QED images with table_size=1.)

# A chain of three formats; each image names the next by a relative path, the QED one without a format.
qemu-img create -q -f raw base.raw 48K
io raw base.raw 'write -P 0x71 0 49152'
qemu-img create -q -f qcow2 -o compat=1.1,cluster_size=512 -b base.raw -F raw middle.qcow2 64K
io qcow2 middle.qcow2 'write -P 0x72 4096 4096' 'write -z 12288 4096' 'write -P 0x73 57344 2048'
qemu-img create -q -f qed -o cluster_size=4096,table_size=2 -b middle.qcow2 -F qcow2 top.qed 80K
io qed top.qed 'write -P 0x74 6144 1024' 'write -P 0x75 73728 1024'

guest_sum() { # format file
  qemu-img convert -q -f "$1" -O raw "$2" guest.tmp
  printf '%s  %s\n' "$(sha256sum < guest.tmp | cut -d' ' -f1)" "$2"
  rm guest.tmp
}
{
  for file in v2 v3 extended compressed snapshot middle; do guest_sum qcow2 $file.qcow2; done
  for file in plain top; do guest_sum qed $file.qed; done
  guest_sum raw base.raw
} > SHA256SUMS
rm content.raw
gzip -9 -n ./*.qcow2 ./*.qed ./*.raw
