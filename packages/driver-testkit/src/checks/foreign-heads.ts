/** The head of something that is no image of the driver under test. */
export interface ForeignHead {
  /** Part of the check's name. */
  readonly name: string;
  /** Formats that recognise it rightly. */
  readonly formats: readonly string[];
  /** The head. */
  readonly bytes: Uint8Array;
}

const LENGTH = 4096;

function head(
  name: string,
  formats: readonly string[],
  ...pieces: readonly (readonly [number, string | readonly number[]])[]
): ForeignHead {
  const bytes = new Uint8Array(LENGTH);
  for (const [offset, piece] of pieces) {
    const codes = typeof piece === 'string' ? [...piece].map((c) => c.charCodeAt(0)) : piece;
    bytes.set(codes, offset);
  }
  return { name, formats, bytes };
}

/** Heads of other formats and of what else lies in files, by their published magic numbers. */
export const FOREIGN_HEADS: readonly ForeignHead[] = [
  head('zeroes', []),
  { name: 'ones', formats: [], bytes: new Uint8Array(LENGTH).fill(0xff) },
  {
    name: 'text',
    formats: [],
    bytes: new TextEncoder().encode('A line of text, and the next one.\n'.repeat(100)),
  },
  head('qcow version 1', ['qcow', 'qcow2'], [0, 'QFI\xfb'], [7, [1]]),
  head('qcow2 version 2', ['qcow2'], [0, 'QFI\xfb'], [7, [2]], [23, [16]]),
  head('qcow2 version 3', ['qcow2'], [0, 'QFI\xfb'], [7, [3]], [23, [16]], [103, [104]]),
  head('QED', ['qed'], [0, 'QED\0'], [6, [1]], [8, [4]], [12, [1]]),
  head('VMDK', ['vmdk'], [0, 'KDMV'], [4, [1]]),
  head('VMDK descriptor', ['vmdk'], [0, '# Disk DescriptorFile\nversion=1\n']),
  head(
    'VDI',
    ['vdi'],
    [0, '<<< Oracle VM VirtualBox Disk Image >>>\n'],
    [64, [0x7f, 0x10, 0xda, 0xbe]],
  ),
  head('VHD', ['vpc', 'vhd'], [0, 'conectix']),
  head('VHDX', ['vhdx'], [0, 'vhdxfile']),
  head('Parallels', ['parallels'], [0, 'WithoutFreeSpace']),
  head('Parallels extended', ['parallels'], [0, 'WithouFreSpacExt']),
  head('Bochs', ['bochs'], [0, 'Bochs Virtual HD Image']),
  head('LUKS', ['luks'], [0, [...'LUKS'].map((c) => c.charCodeAt(0)).concat([0xba, 0xbe, 0, 1])]),
  head('MBR', [], [0, [0xeb, 0x63, 0x90]], [450, [0x83]], [510, [0x55, 0xaa]]),
  head('GPT', [], [450, [0xee]], [510, [0x55, 0xaa]], [512, 'EFI PART']),
  head('ext4', [], [1024 + 56, [0x53, 0xef]]),
  head('NTFS', [], [3, 'NTFS    '], [510, [0x55, 0xaa]]),
  head('gzip', [], [0, [0x1f, 0x8b, 8]]),
  head('zip', [], [0, 'PK\x03\x04']),
  head('ELF', [], [0, '\x7fELF']),
  head('PDF', [], [0, '%PDF-1.7']),
];
