import { isLamellaError } from 'lamella';
import { shownLocation } from './open-failure.js';
import { problemText } from './problem.js';

/** What follows `NAME: ` for an image that can't be made. */
export function createFailureText(error: unknown, filename: string): string {
  if (!isLamellaError(error)) {
    throw error;
  }
  if (filename === '') {
    return "Could not create '': No such file or directory";
  }
  switch (error.code) {
    case 'NOT_FOUND':
    case 'PERMISSION_DENIED':
    case 'NOT_A_FILE':
      return `Could not create '${shownLocation(error.location ?? filename)}': ${problemText(error)}`;
    case 'LOCKED':
      return `${problemText(error)}\nIs another process using the image [${filename}]?`;
    default:
      return problemText(error);
  }
}
