import { compareAll } from './support/differential.js';

/** Less usual command lines, most of them wrong. */
compareAll(
  `
create -f qcow2 -b '' -F raw x.qcow2 1M
create -f qcow2 -u -b nowhere.raw x.qcow2 1M
create -f qcow2 -o cluster_size=512 x.qcow2 1P
create -f qed -o preallocation=full x.qed 1M
create -f qed -o cluster_size=4k,table_size=1 x.qed 1T
create -f qcow2 -o data_file_raw=on x.qcow2 1M
create -f qcow2 -o data_file=nodir/d.raw x.qcow2 1M
create -f qcow2 -o data_file=d.raw,compat=0.10 x.qcow2 1M
create -f qcow2 -o data_file=d.raw,data_file_raw=on -b base.raw -F raw x.qcow2 1M
create -f qcow2 --object secret,id=s,data=abc -o encrypt.key-secret=s x.qcow2 1M
create -f qcow2 -o encrypt.format=foo x.qcow2 1M
create -q -f qcow2 -o data_file=d.raw x.qcow2 1M && map x.qcow2 && map --output=json x.qcow2 && check x.qcow2
dd if=base.raw of=nodir/x
dd -O qcow2 if=base.raw of=nodir/x
dd if=base.raw of=
convert -O qcow2 -F raw over.qcow2 out.qcow2
convert -O qcow2 -c -o preallocation=metadata base.raw out.qcow2
convert -O raw -C --salvage base.raw out.raw
convert -O raw -l snapshot.foo=1 snap.qcow2 out.raw
convert -O qcow2 --bitmaps -o compat=0.10 bits.qcow2 out.qcow2
convert --target-image-opts -n -O qcow2 base.raw driver=qcow2,file.filename=plain.qcow2
convert -O qcow2 -o help base.raw
create -q -f qcow2 -b empty.raw -F raw x.qcow2 1M && convert -n -O qcow2 over.qcow2 x.qcow2 && compare over.qcow2 x.qcow2
create -q -f qcow2 -b base.raw -F raw x.qcow2 1M && convert -n -O qcow2 -B base.raw -F raw over.qcow2 x.qcow2 && check x.qcow2 && compare over.qcow2 x.qcow2
measure -O qcow2 -o backing_file=base.raw --size 1G
measure -O qcow2 -o encrypt.format=luks --size 1G
map -s 2M --output=json base.raw
resize plain.qed +1
resize plain.qed 100T
resize --preallocation=metadata -f raw base.raw 2M
resize --preallocation=full plain.qed 2M
rebase -u -b base.raw -F raw base.raw
rebase -f raw -b larger.raw -F raw over.qcow2
commit -b ./base.raw top.qcow2
amend -o compat=1.2 plain.qcow2
amend -o compat=0.10 zstd.qcow2
amend -o compat=0.10,lazy_refcounts=on plain.qcow2
amend -o refcount_bits=1 snap.qcow2
amend -o refcount_bits=8 v2.qcow2
amend -o backing_file=base.raw,backing_fmt=raw over.qcow2
amend -o backing_fmt=qcow2 over.qcow2
amend -o data_file=x plain.qcow2
amend -o help
amend -o compat=0.10 plain.qcow2 v2.qcow2
amend --force -o compat=0.10 plain.qcow2
bitmap --add -g 0 plain.qcow2 a
bitmap --add -g 4G plain.qcow2 a
bench -c 10 -s 2M base.raw
bench -c 10 -s 1G base.raw
bench -c 10 -o 2M base.raw
bench -c 10 -i native base.raw
info ''
map ''
check ''
resize '' 1M
convert -O raw '' out.raw
`
    .trim()
    .split('\n'),
);
