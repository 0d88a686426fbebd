import { compareAll } from './support/differential.js';

/** `json:` names and `--image-opts`: how they are read, what they say of the layers below, and what is wrong with them. */
compareAll(
  String.raw`
compare 'json:{"driver":"qcow2","file":{"driver":"raw","file":{"driver":"file","filename":"plain.qcow2"}}}' plain.qcow2
compare 'json:{"driver":"raw","offset":65536,"file":{"driver":"file","filename":"base.raw"}}' base.raw
compare 'json:{"driver":"raw","offset":65536,"size":65536,"file":{"driver":"file","filename":"base.raw"}}' base.raw
info --image-opts driver=raw,offset=64k,size=64k,file.filename=base.raw
info --image-opts driver=raw,size=64k,file.driver=file,file.filename=base.raw
info --image-opts driver=raw,offset=1,file.driver=file,file.filename=base.raw
info --image-opts driver=raw,offset=2M,file.driver=file,file.filename=base.raw
compare --image-opts driver=qcow2,file.filename=over.qcow2,backing.driver=raw,backing.file.filename=larger.raw driver=qcow2,file.filename=over.qcow2
map --image-opts driver=qcow2,file.filename=over.qcow2,backing.driver=raw,backing.file.filename=larger.raw
info --image-opts driver=qcow2,file.filename=over.qcow2,backing.driver=raw,backing.file.filename=larger.raw
map --image-opts driver=qcow2,file.filename=over.qcow2,backing.file.filename=larger.raw
map --image-opts driver=qcow2,file.filename=over.qcow2,backing.file.filename=plain.qcow2
map --image-opts driver=qcow2,file.filename=over.qcow2,backing.driver=qcow2,backing.file.filename=plain.qcow2
map --image-opts driver=qcow2,file.filename=over.qcow2,backing.driver=qcow2
map --image-opts driver=qcow2,file.filename=over.qcow2,backing.driver=raw
map --image-opts driver=qcow2,file.filename=over.qcow2,backing=base.raw
map --image-opts driver=qcow2,file.filename=over.qcow2,backing=
map 'json:{"driver":"qcow2","file":{"filename":"over.qcow2"},"backing":null}'
map 'json:{"driver":"qcow2","file":{"filename":"over.qcow2"},"backing":""}'
map 'json:{"driver":"qcow2","file":{"driver":"file","filename":"over.qcow2"},"backing":null}'
map 'json:{"driver":"qcow2","file":{"driver":"file","filename":"over.qcow2"},"backing":{"driver":"raw","file":{"driver":"file","filename":"larger.raw"}}}'
map 'json:{"driver":"qcow2","file":{"driver":"file","filename":"plain.qcow2"},"backing":{"driver":"raw","file":{"driver":"file","filename":"larger.raw"}}}'
map --image-opts driver=qcow2,file.filename=plain.qcow2,backing.driver=raw
map --image-opts driver=qcow2,file.filename=plain.qcow2,backing.driver=raw,backing.file.filename=base.raw
map --image-opts driver=qcow2,file.filename=top.qcow2,backing.backing.file.filename=larger.raw,backing.backing.driver=raw
map --image-opts driver=qcow2,file.filename=top.qcow2,backing.driver=qcow2,backing.file.filename=plain.qcow2
map --image-opts driver=qcow2,file.filename=top.qcow2,backing.file.filename=nowhere.raw,backing.driver=raw
map --image-opts driver=qcow2,file.filename=top.qcow2,backing.file.driver=file
map --image-opts driver=qcow2,file.filename=top.qcow2,backing.lazy-refcounts=on
map --image-opts driver=qcow2,file.filename=top.qcow2,backing.nonsense=on
map --image-opts driver=raw,file.filename=base.raw,backing.driver=raw
map --image-opts driver=qed,file.filename=over.qed,backing.driver=raw,backing.file.filename=larger.raw
map --image-opts driver=qed,file.filename=plain.qed,backing.driver=raw,backing.file.filename=larger.raw
map --image-opts driver=qcow2,file.filename=over.qcow2,backing.driver=raw,backing.offset=512k,backing.file.filename=larger.raw
info --image-opts driver=qcow2,file.driver=blkdebug,file.image=plain.qcow2
info --image-opts driver=qcow2,file.driver=blkdebug
info --image-opts driver=qcow2,file.driver=nosuch,file.filename=x
info --image-opts driver=qcow2,file.driver=blkdebug,file.nonsense=1,file.image.filename=plain.qcow2
info --image-opts driver=file,filename=base.raw
info --image-opts driver=qcow2,data-file.filename=base.raw,file.filename=plain.qcow2
map --image-opts driver=qcow2,data-file.filename=base.raw,file.filename=plain.qcow2
create -q -f qcow2 -o data_file=gone.raw t.qcow2 1M && map --image-opts driver=qcow2,data-file.filename=nowhere.raw,file.filename=t.qcow2
create -q -f qcow2 -o data_file=gone.raw t.qcow2 1M && check --image-opts driver=qcow2,data-file.filename=nowhere.raw,file.filename=t.qcow2
info -U --image-opts driver=qcow2,file.filename=plain.qcow2,force-share=off
info -U --image-opts driver=qcow2,file.filename=plain.qcow2,force-share=on
map --image-opts driver=qcow2,file.filename=plain.qcow2,force-share=on
check -U --image-opts driver=qcow2,file.filename=plain.qcow2,force-share=off
check -r all --image-opts driver=qcow2,file.filename=plain.qcow2,force-share=on
resize --image-opts driver=qcow2,file.filename=plain.qcow2,force-share=on 2M
info --image-opts file=plain.qcow2
info --image-opts plain.qcow2
info --image-opts filename=plain.qcow2
info --image-opts driver=qcow2,filename=plain.qcow2
info --image-opts driver=qcow2,file.filename=plain.qcow2,nonsense=1
info --image-opts driver=qcow2,file.filename=plain.qcow2,file.nonsense=1
info --image-opts driver=nosuch,file.filename=plain.qcow2
info --image-opts file.filename=plain.qcow2,file.driver=file
info file:plain.qcow2
info --image-opts driver=qcow2,file.filename=file:plain.qcow2
info nosuch:plain.qcow2
info 'json:{"driver":"qcow2","file":"plain.qcow2"}'
info 'json:{"file.filename":"plain.qcow2"}'
info 'json:{"driver":7,"file.filename":"plain.qcow2"}'
info 'json:{"driver":"qcow2","file":{"driver":"file","filename":"plain.qcow2"},"lazy-refcounts":true}'
info 'json:{"driver":"qcow2","file":{"driver":"file","filename":"plain.qcow2"},"lazy-refcounts":"maybe"}'
info 'json:{"driver":"qcow2","file":{"driver":"file","filename":"plain.qcow2"},"nonsense":true}'
info 'json:{"driver":"qcow2","file":{"driver":"file","filename":"plain.qcow2"},"nonsense":[1]}'
info 'json:{"driver":"qcow2","file":{"driver":"file","filename":"plain.qcow2","nonsense":5}}'
info 'json:[]'
info 'json:'
info 'json:x'
info 'json:{"a":}'
info 'json:{"driver":"qcow2","driver":"raw","file.filename":"plain.qcow2"}'
info 'json:{"driver":"qcow2","file":{"driver":"file","filename":"plain.qcow2"}} x'
info --image-opts driver=qcow2,file.filename=over.qcow2,backing=
info 'json:{"driver":"qcow2","file":{"filename":"over.qcow2"},"backing":null}'
check --image-opts driver=qcow2,file.filename=over.qcow2,backing=
check --image-opts driver=qcow2,file.filename=orphan.qcow2,backing=
check 'json:{"driver":"qcow2","file":{"filename":"orphan.qcow2"},"backing":null}'
check 'json:{"driver":"qcow2","file":{"filename":"orphan.qcow2"},"backing":{"driver":"raw","file":{"driver":"file","filename":"base.raw"}}}'
check 'json:{"driver":"qcow2","file":{"filename":"orphan.qcow2"},"backing":{"driver":"raw","file":{"driver":"file","filename":"nobase.raw"}}}'
snapshot --image-opts -l driver=qcow2,file.filename=over.qcow2,backing.driver=raw
resize --image-opts driver=qcow2,file.filename=orphan.qcow2,backing.driver=raw,backing.file.filename=base.raw 2M
commit --image-opts driver=qcow2,file.filename=orphan.qcow2,backing.driver=raw,backing.file.filename=base.raw && compare orphan.qcow2 base.raw
commit --image-opts driver=qcow2,file.filename=over.qcow2,backing=
rebase --image-opts -u -b larger.raw -F raw driver=qcow2,file.filename=over.qcow2,backing.driver=raw,backing.file.filename=same.raw
measure --image-opts -O raw driver=qcow2,file.filename=orphan.qcow2,backing.driver=raw,backing.file.filename=base.raw
convert --image-opts -O raw driver=qcow2,file.filename=orphan.qcow2,backing.driver=raw,backing.file.filename=base.raw out.raw && compare out.raw base.raw
map "json:{'driver':'qcow2','file':{'driver':'file','filename':'plain.qcow2'}}"
map "json:{'driver':'qcow2','file.filename':'plain.qcow2'}"
info "json:{"
info "json:{'a"
info "json:{'a'"
info "json:{'a':"
info "json:{'a':1"
info "json:{'a':1,"
info "json:{'a':1,}"
info "json:{'a' 1}"
info "json:{1:1}"
info "json:{a:1}"
info "json:{'a':tru}"
info "json:{'a':true,'a':false}"
info "json:{'a':[1,2}"
info "json:{'a':[1 2]}"
info "json:}"
info "json:]"
info "json:5"
info "json:'x'"
info "json:{} {}"
info "json:{},"
info "json:{'a':\x01}"
info 'json:{"a":"\q"}'
info 'json:{"a":"\u00zz"}'
info 'json:{"a":01}'
info 'json:{"a":-}'
info 'json:{"a":1.}'
info 'json:{"a":1e}'
info 'json:{"a":99999999999999999999}'
info 'json:{"a":null}'
info 'json:{"a":%}'
info 'json:{"a":%s}'
info 'json:null'
info 'json:{"driver":"qcow2","file":null}'
info 'json:{"driver":"qcow2","file":[]}'
info 'json:{"driver":null,"file":{"filename":"plain.qcow2"}}'
info 'json:{"driver":true,"file":{"filename":"plain.qcow2"}}'
info 'json:{"driver":"","file":{"filename":"plain.qcow2"}}'
info 'json:{"driver":"qcow2","file":{"filename":""}}'
info 'json:{"driver":"qcow2","file.filename":"plain.qcow2","file":{"filename":"v2.qcow2"}}'
info 'json:{"driver":"qcow2","file.filename":"plain.qcow2","file":{"driver":"file"}}'
info -f qcow2 'json:{"driver":"qcow2","file":{"filename":"plain.qcow2"}}'
info -f raw 'json:{"driver":"qcow2","file":{"filename":"plain.qcow2"}}'
info -f raw 'json:{"file":{"filename":"plain.qcow2"}}'
info -f qcow2 'json:{"file":{"filename":"plain.qcow2"}}'
info -f nosuch 'json:{"file":{"filename":"plain.qcow2"}}'
info --image-opts -f qcow2 driver=qcow2,file.filename=plain.qcow2
info --image-opts ''
info --image-opts driver
info --image-opts driver=
info --image-opts driver=qcow2,file.filename=
info --image-opts driver=qcow2,file.filename=plain.qcow2,
info --image-opts driver=qcow2,file.filename=plain.qcow2,file.filename=v2.qcow2
info --image-opts driver=qcow2,driver=raw,file.filename=plain.qcow2
info --image-opts driver=qcow2,file.filename=plain.qcow2,read-only=on
info --image-opts driver=qcow2,file.filename=plain.qcow2,read-only=maybe
info --image-opts driver=qcow2,file.filename=plain.qcow2,read-only
info --image-opts driver=qcow2,file.filename=plain.qcow2,noread-only
info --image-opts driver=qcow2,file.filename=plain.qcow2,cache.direct=on
info --image-opts driver=qcow2,file.filename=plain.qcow2,cache.direct=maybe
info --image-opts driver=qcow2,file.filename=plain.qcow2,discard=unmap
info --image-opts driver=qcow2,file.filename=plain.qcow2,discard=foo
info --image-opts driver=qcow2,file.filename=plain.qcow2,detect-zeroes=unmap
info --image-opts driver=qcow2,file.filename=plain.qcow2,detect-zeroes=unmap,discard=unmap
info --image-opts driver=qcow2,file.filename=plain.qcow2,detect-zeroes=foo
info --image-opts driver=qcow2,file.filename=plain.qcow2,force-share=on
info --image-opts driver=qcow2,file.filename=plain.qcow2,force-share=foo
info --image-opts driver=qcow2,file.filename=plain.qcow2,node-name=foo
info --image-opts driver=qcow2,file.filename=plain.qcow2,node-name=1
info --image-opts driver=qcow2,file.filename=plain.qcow2,l2-cache-size=1M
info --image-opts driver=qcow2,file.filename=plain.qcow2,l2-cache-size=foo
info --image-opts driver=qcow2,file.filename=plain.qcow2,l2-cache-size=1M,cache-size=512k
info --image-opts driver=qcow2,file.filename=plain.qcow2,overlap-check=foo
info --image-opts driver=qcow2,file.filename=plain.qcow2,overlap-check=all
info --image-opts driver=qcow2,file.filename=plain.qcow2,cache-size=1M,l2-cache-size=64k,refcount-cache-size=64k
info --image-opts driver=qcow2,file.filename=plain.qcow2,cache-size=256T
info --image-opts driver=qcow2,file.filename=plain.qcow2,refcount-cache-size=256T
info --image-opts driver=qcow2,file.filename=plain.qcow2,l2-cache-size=256T
info --image-opts driver=qcow2,file.filename=plain.qcow2,l2-cache-entry-size=256
info --image-opts driver=qcow2,file.filename=plain.qcow2,l2-cache-entry-size=33k
info --image-opts driver=qcow2,file.filename=plain.qcow2,l2-cache-entry-size=128k
info --image-opts driver=qcow2,file.filename=plain.qcow2,l2-cache-entry-size=64k
info --image-opts driver=qcow2,file.filename=plain.qcow2,cache-clean-interval=-1
info --image-opts driver=qcow2,file.filename=plain.qcow2,cache-clean-interval=4294967295
info --image-opts driver=qcow2,file.filename=plain.qcow2,cache-clean-interval=4294967296
info --image-opts driver=qcow2,file.filename=plain.qcow2,overlap-check=all,overlap-check.template=none
info --image-opts driver=qcow2,file.filename=plain.qcow2,overlap-check=all,overlap-check.template=all
info --image-opts driver=qcow2,file.filename=plain.qcow2,cache-clean-interval=foo
check --image-opts driver=qcow2,file.filename=plain.qcow2,l2-cache-entry-size=256
info --image-opts driver=qcow2,file.filename=plain.qcow2,pass-discard-request=foo
info --image-opts driver=qcow2,file.filename=luks.qcow2
map --image-opts driver=qcow2,file.filename=luks.qcow2
map --image-opts driver=qcow2,file.filename=luks.qcow2,encrypt.key-secret=foo
info --image-opts driver=qcow2,file.filename=plain.qcow2,file.locking=off
info --image-opts driver=qcow2,file.filename=plain.qcow2,file.locking=foo
info --image-opts driver=qcow2,file.filename=plain.qcow2,file.aio=native
info --image-opts driver=qcow2,file.filename=plain.qcow2,file.aio=foo
info --image-opts driver=file,file.filename=plain.qcow2
info --image-opts driver=qcow2,file.filename=nowhere
`
    .trim()
    .split('\n'),
);
