/** The bytes of a passphrase: a text counts as UTF-8, as qemu-img reads it. */
export function passphraseBytes(passphrase: string | Uint8Array): Uint8Array {
  return typeof passphrase === 'string' ? new TextEncoder().encode(passphrase) : passphrase;
}
