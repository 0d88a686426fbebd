import { isLamellaError, LamellaError } from '@lamella/core';
import type { DependencyContainer, InjectionToken } from 'tsyringe';

/** What a container can't make, it says with an error of its own kind, cause and all in one text. */
export function resolving<T>(resolve: () => T, what = 'what is registered'): T {
  try {
    return resolve();
  } catch (error) {
    if (isLamellaError(error)) {
      throw error;
    }
    const why = error instanceof Error ? error.message : String(error);
    throw new LamellaError('DRIVER_FAILED', `${what} can't be made: ${why}`, {
      hint: 'A driver whose constructor takes something has to be @injectable(), by the same copy of tsyringe.',
      cause: error,
    });
  }
}

/** tsyringe looks at a parent only for tokens that the child has none of; ours are lists to add to. */
export function inherit<T>(
  parent: DependencyContainer,
  child: DependencyContainer,
  token: InjectionToken<T>,
): void {
  if (parent.isRegistered(token, true)) {
    for (const value of resolving(() => parent.resolveAll(token))) {
      child.register(token, { useValue: value });
    }
  }
}
