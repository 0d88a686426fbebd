export { Disk, type ExtentsOptions, type OpenLayers } from './disk.js';
export { closeLayers, type Layer, type LayerInfo } from './layer.js';
export type { Passphrase, PassphraseSource } from './passphrases.js';
export type { ImageName } from './reference-name.js';
export { parseImageName } from './reference-name.js';
export type { ReferencePolicy, ReferenceRequest } from './reference-policy.js';
export {
  type ChainOptions,
  ChainResolver,
  DEFAULT_MAX_DEPTH,
  type OpenChain,
  type OpenLayerOptions,
} from './resolver.js';
export type { StreamOptions } from './streams.js';
