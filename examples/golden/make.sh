#!/bin/sh
# Makes guest.ext4.gz: a file system as an installer of a guest would leave it. Needs e2fsprogs 1.47.
set -e
folder=$(mktemp -d)
mkdir -p "$folder/root/etc" "$folder/root/var/log"
echo guest-7 > "$folder/root/etc/hostname"
for line in $(seq 1 2000); do echo "line $line of a log"; done > "$folder/root/var/log/messages"
mkfs.ext4 -q -F -m 0 -L guest -U 6c616d65-6c6c-4161-8d69-736b00000000 -E root_owner=0:0 \
  -d "$folder/root" "$folder/guest.ext4" 1M 2> /dev/null
gzip -9 -n -c "$folder/guest.ext4" > "$(dirname "$0")/guest.ext4.gz"
rm -r "$folder"
