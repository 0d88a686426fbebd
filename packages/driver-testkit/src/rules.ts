/** A numbered rule of one interface. `driver-rules.md` of this package says more about each. */
export interface Rule {
  /** Member of `@lamella/core` that it belongs to. */
  readonly of: string;
  /** What has to hold, one sentence. */
  readonly text: string;
}

const rule = (of: string, text: string): Rule => ({ of, text });

const ALL = {
  'driver-1': rule(
    'BlockDriver.format',
    'The name is one word of lower-case letters, digits, dots, dashes and underscores, the same for every instance.',
  ),
  'driver-2': rule(
    'BlockDriver.createOptions',
    'Every option of a schema has a description, and its default is a value that it accepts.',
  ),
  'driver-3': rule(
    'BlockDriver',
    'Images that one driver object has open side by side know nothing of each other.',
  ),
  'driver-4': rule(
    'Image',
    'An image has the methods of every ability that its manifest names, and of none that it denies.',
  ),
  'probe-1': rule(
    'BlockDriver.probe',
    "The format's own images are recognised with a score above 1, if they can be told by their first bytes.",
  ),
  'probe-2': rule(
    'BlockDriver.probe',
    'A score is a whole number from 0 to 100, returned at once and not as a promise.',
  ),
  'probe-3': rule('BlockDriver.probe', 'The head of another format scores 0.'),
  'probe-4': rule('BlockDriver.probe', 'No head makes it throw, however short or damaged.'),
  'probe-5': rule(
    'BlockDriver.probe',
    'It leaves the head unchanged and answers the same when it is asked again.',
  ),
  'open-1': rule(
    'BlockDriver.open',
    "An open image tells its size, cluster size, references and options, and they are the image's.",
  ),
  'open-2': rule('BlockDriver.open', 'An image that is open for reading changes nothing, ever.'),
  'open-3': rule(
    'BlockDriver.open',
    'Content of another format is refused with a LamellaError that says so.',
  ),
  'open-4': rule('BlockDriver.open', 'The storage stays open, whether or not opening works.'),
  'open-5': rule(
    'BlockDriver.open',
    'A storage that fails makes opening fail with its error, and does no harm to a later attempt.',
  ),
  'open-6': rule(
    'BlockDriver.openOptions',
    'Unknown open options are refused as INVALID_ARGUMENT.',
  ),
  'open-7': rule(
    'BlockDriver.open',
    "Opening for writing and closing again leaves the guest's bytes as they were.",
  ),
  'open-8': rule(
    'OpenOptions.beforeWriting',
    'It is awaited before the first change of the storage, and its failure leaves the storage as it was.',
  ),
  'map-1': rule(
    'Image.map',
    'The length of an extent is a whole number of bytes, at least 1 and at most what was asked.',
  ),
  'map-2': rule('Extent', 'An extent is of a known kind, and its fields are what that kind has.'),
  'map-3': rule('Image.map', 'What was mapped a moment ago is answered with a plain value.'),
  'map-4': rule(
    'DataExtent',
    'A data extent begins within its storage and reaches past the end by less than a cluster.',
  ),
  'map-5': rule('Image.map', 'The answer for a byte does not depend on the range it was asked in.'),
  'map-6': rule('Image.map', 'Calls under way together give the answers that they give alone.'),
  'map-7': rule(
    'Image.map',
    "A failed read of metadata is the caller's failure, and is not remembered.",
  ),
  'read-1': rule('Image.map', 'The extents lead to the bytes that the disk holds.'),
  'read-2': rule('BlockDriver.create', 'A new image reads as zeroes.'),
  'write-1': rule(
    'Image.place',
    'What was written is read back, and every other byte stays as it was.',
  ),
  'write-2': rule('Image.close', 'What was written is there when the image is opened again.'),
  'write-3': rule(
    'Placement',
    'A placement covers at least 1 and at most the asked bytes, within clusters whose edges it counts right.',
  ),
  'write-4': rule('Allocation.abort', 'An aborted placement leaves the disk as it was.'),
  'write-5': rule('Allocation.fresh', 'Space that is called fresh reads as zeroes.'),
  'write-6': rule(
    'Allocation.commit',
    'After the commit, map leads to the bytes that were placed.',
  ),
  'zero-1': rule(
    'Image.zero',
    'A zeroed range reads as zeroes, and every other byte stays as it was.',
  ),
  'zero-2': rule(
    'Image.zero',
    'It returns how many bytes it did: whole clusters, or up to the end of the disk.',
  ),
  'zero-3': rule('Image.zero', 'Zeroes are there when the image is opened again.'),
  'discard-1': rule(
    'Image.discard',
    'A discarded byte reads as zero or as before, and every other byte stays as it was.',
  ),
  'discard-2': rule(
    'Image.discard',
    'What a discarded byte reads as is the same when the image is opened again, or zero.',
  ),
  'backing-1': rule('Image.references', 'The name of the backing file is kept as it was given.'),
  'backing-2': rule(
    'UnallocatedExtent',
    'What the image does not hold shows the layer below, and zeroes past its end.',
  ),
  'backing-3': rule(
    'Allocation.copyBefore',
    'A write keeps the rest of its clusters as the layer below shows it.',
  ),
  'backing-4': rule(
    'Image.zero',
    'Zeroed and discarded bytes never show the layer below, now or later.',
  ),
  'backing-5': rule(
    'BlockDriver.supportsBacking',
    'A format without backing files refuses to be made with one.',
  ),
  'resize-1': rule(
    'Image.resize',
    'A larger disk keeps its bytes, and the new ones read as zeroes.',
  ),
  'resize-2': rule(
    'Image.resize',
    'A smaller disk keeps its first bytes, or is refused and stays as it was.',
  ),
  'resize-3': rule(
    'Image.resize',
    'A size that the format does not take is refused with a LamellaError, and nothing is changed.',
  ),
  'together-1': rule('Image.place', 'Requests to different clusters do not disturb each other.'),
  'together-2': rule('Image.place', 'Requests to different bytes of one cluster all have effect.'),
  'together-3': rule(
    'Image.map',
    'A read beside a change gives the old or the new bytes of each place.',
  ),
  'model-1': rule('Image', 'Any sequence of requests gives what a plain array of bytes gives.'),
  'create-1': rule(
    'BlockDriver.create',
    'The options reported by a new image are those that it was made with, defaults included.',
  ),
  'create-2': rule(
    'BlockDriver.createOptions',
    'Every choice of an option makes an image that works, or is refused with a LamellaError.',
  ),
  'create-3': rule(
    'BlockDriver.validateCreate',
    'What create refuses is refused before the storage is touched, by validateCreate as well.',
  ),
  'create-4': rule('BlockDriver.create', 'The new image is durable when create resolves.'),
  'create-5': rule(
    'BlockDriver.create',
    'A disk of any size from 0 to 1 MiB is made as large as asked, or up to the next sector; a larger one is, or is refused.',
  ),
  'create-6': rule('BlockDriver.create', 'A storage that fails makes create fail with its error.'),
  'create-7': rule('BlockDriver.create', 'The storage stays open.'),
  'create-8': rule(
    'BlockDriver.create',
    'An empty image takes little memory, however large its disk.',
  ),
  'measure-1': rule(
    'BlockDriver.measure',
    'A file that was just written has at most the required bytes, and never more than when fully allocated.',
  ),
  'abort-1': rule(
    'LongOperation.signal',
    'An operation whose signal has fired ends with ABORTED or is done, and the image is whole.',
  ),
  'close-1': rule('Image.close', 'Closing twice is no error.'),
  'close-2': rule('Image.close', 'The storage stays open: who opened it closes it.'),
  'close-3': rule('Image.close', 'What was written is durable when close resolves.'),
  'flush-1': rule('Image.flush', 'What was written before a flush is there after any later crash.'),
  'crash-1': rule(
    'Image.flush',
    'Every byte after a crash is one that was there or was written, however the crash tore the changes.',
  ),
  'crash-2': rule(
    'Image.flush',
    'A crash at any point leaves leaked space at most, no corruption.',
  ),
  'fault-1': rule(
    'Image',
    'A request that meets a failing storage fails with a LamellaError; none reports success falsely.',
  ),
  'fault-2': rule(
    'Image',
    'After a failure every other byte is as before, and the image stays consistent.',
  ),
  'damage-1': rule(
    'BlockDriver.open',
    'A cut image gives its own bytes, zeroes or a LamellaError, never other bytes.',
  ),
  'damage-2': rule(
    'BlockDriver.open',
    'Damage gives a LamellaError or an answer, never another error.',
  ),
  'damage-3': rule('BlockDriver.open', 'Damage makes no operation go on for ever.'),
  'damage-4': rule('BlockDriver.open', 'Damage makes nobody take memory beyond measure.'),
  'check-1': rule('Image.check', 'An image that was closed has neither corruptions nor leaks.'),
  'check-2': rule('Image.check', 'A check without repair changes nothing.'),
  'check-3': rule('CheckResult', 'The counts are whole numbers and the findings bounded.'),
  'check-4': rule(
    'Image.check',
    'Damage is reported, not thrown; a repair leaves an image that opens or is refused with a LamellaError.',
  ),
} as const satisfies Record<string, Rule>;

/** Number of a rule: `map-1`. */
export type RuleId = keyof typeof ALL;

/** Every rule that the suite checks, by number. */
export const RULES: Readonly<Record<RuleId, Rule>> = ALL;
