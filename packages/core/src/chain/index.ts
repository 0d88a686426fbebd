export { type ChainOptions, DEFAULT_MAX_DEPTH } from './chain-options.js';
export { Disk, type ExtentsOptions, type OpenLayers } from './disk.js';
export { closeLayers, type Layer, type LayerInfo } from './layer.js';
export type { Passphrase, PassphraseSource } from './passphrases.js';
export type { ImageName } from './reference-name.js';
export { parseImageName } from './reference-name.js';
export type { ReferencePolicy, ReferenceRequest } from './reference-policy.js';
export { ChainResolver, type LayerOptions, type OpenChain } from './resolver.js';
export type { StreamOptions } from './streams.js';
