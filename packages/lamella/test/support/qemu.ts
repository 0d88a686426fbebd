import { needs } from '@lamella/test-support';

/** Skips a test visibly where QEMU is missing, unless it is required. */
export const skipWithoutQemu = needs('qemu-img', 'qemu-io');
