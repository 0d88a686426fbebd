import { BLOCK_DRIVER, LOGGER, type Logger } from '@lamella/core';
import { Qcow2Driver } from '@lamella/driver-qcow2';
import { QedDriver } from '@lamella/driver-qed';
import { RawDriver } from '@lamella/driver-raw';
import { registerNodePlatform } from '@lamella/platform-node';
import type { DependencyContainer } from 'tsyringe';

/**
 * Registers what every {@link Lamella} starts with: the raw, qcow2 and QED drivers, files, and the
 * codecs of Node.js.
 *
 * @param container - the container to register in
 * @param logger - where warnings go
 */
export function registerBuiltins(container: DependencyContainer, logger: Logger): void {
  container.register(LOGGER, { useValue: logger });
  registerNodePlatform(container);
  container.register(BLOCK_DRIVER, { useClass: RawDriver });
  container.register(BLOCK_DRIVER, { useClass: Qcow2Driver });
  container.register(BLOCK_DRIVER, { useClass: QedDriver });
}
