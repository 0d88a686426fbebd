import { cancel, intro, isCancel, text } from '@clack/prompts';
import type { Arguments } from './arguments.js';
import { type DriverPlan, defaultPlan, formatProblem, packageProblem } from './plan.js';

/**
 * Asks for what was not given on the command line.
 *
 * @returns undefined when the user gave up
 */
export async function askForPlan({ format, given }: Arguments): Promise<DriverPlan | undefined> {
  intro('A block driver for Lamella');
  const named = format ?? (await ask('Name of the format', 'my-format', formatProblem));
  if (named === undefined) {
    return undefined;
  }
  const defaults = defaultPlan(named);
  const packageName =
    given.packageName ?? (await ask('Name of the package', defaults.packageName, packageProblem));
  const description =
    packageName && (given.description ?? (await ask('Description', defaults.description)));
  if (packageName === undefined || description === undefined) {
    return undefined;
  }
  return { ...defaults, ...given, packageName, description };
}

async function ask(
  message: string,
  initialValue: string,
  problem: (answer: string) => string | undefined = () => undefined,
): Promise<string | undefined> {
  const answer = await text({
    message,
    initialValue,
    validate: (value) => problem(value ?? ''),
  });
  if (isCancel(answer)) {
    cancel('Nothing was made.');
    return undefined;
  }
  return answer;
}
