import { BlkdebugDriver } from '@lamella/filters';
import { Lamella, STORAGE_DRIVER } from 'lamella';

/** The library as the programs have it: with the filters that only their names reach. */
export function programLamella(): Lamella {
  const lamella = new Lamella();
  lamella.container.register(STORAGE_DRIVER, { useClass: BlkdebugDriver });
  return lamella;
}
