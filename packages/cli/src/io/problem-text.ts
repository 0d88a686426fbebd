import { isLamellaError } from 'lamella';
import { strerrorOf } from '../messages/errno.js';

/** What the system would call a failure of a request: one line, without names. */
export function requestProblem(error: unknown): string {
  const system = strerrorOf(error);
  if (!isLamellaError(error)) {
    if (system === undefined) {
      throw error;
    }
    return system;
  }
  switch (error.code) {
    case 'UNSUPPORTED':
      return 'Operation not supported';
    case 'NO_SPACE':
      return system ?? 'No space left on device';
    case 'INVALID_ARGUMENT':
      return 'Invalid argument';
    case 'FORMAT_CHANGE':
    case 'READ_ONLY':
    case 'REFERENCE_DENIED':
      return 'Operation not permitted';
    case 'NOT_FOUND':
      return system ?? 'No such file or directory';
    default:
      return system ?? 'Input/output error';
  }
}
