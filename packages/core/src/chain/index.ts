export type { ChainLink } from './chain-link.js';
export { type ChainOptions, DEFAULT_MAX_DEPTH } from './chain-options.js';
export { Disk, type ExtentsOptions, type OpenLayers } from './disk.js';
export { DiskBitmaps, type MergeBitmapsOptions } from './disk-bitmaps.js';
export { DiskSnapshots } from './disk-snapshots.js';
export { DiskStorage } from './disk-storage.js';
export { type JsonNameValue, JsonTextError, parseJsonText } from './json-text.js';
export { closeLayers, type Layer, type LayerInfo } from './layer.js';
export { type NameKeys, plainPath, takeKeysBelow, takeStorage } from './name-keys.js';
export type { Passphrase, PassphraseSource } from './passphrases.js';
export type { BackingName, ImageName, LowerImageName } from './reference-name.js';
export { nameKeys, parseImageName, readNameKeys } from './reference-name.js';
export type { ReferencePolicy, ReferenceRequest } from './reference-policy.js';
export {
  ChainResolver,
  type LayerOptions,
  type OpenChain,
  type ResolveOptions,
} from './resolver.js';
export type { StreamOptions } from './streams.js';
