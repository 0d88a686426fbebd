import { isLamellaError, Lamella } from 'lamella';

/**
 * Run as an ordinary user with a path and `rw` or `ro`: prints the error that opening ends with. Root,
 * as whom CI runs, may open everything.
 */
const [path = '', mode] = process.argv.slice(2);
let answer: unknown = { opened: true };
try {
  const disk = await new Lamella().open(path, { writable: mode === 'rw' });
  await disk.close();
} catch (error) {
  answer = isLamellaError(error)
    ? { code: error.code, location: error.location, hint: error.hint }
    : { other: String(error) };
}
process.stdout.write(JSON.stringify(answer));
