export { CrashStorage } from '@lamella/driver-testkit';
