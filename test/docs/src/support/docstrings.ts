/** A part of a comment, as typedoc's JSON has it. */
interface CommentPart {
  readonly text: string;
}

interface Comment {
  readonly summary?: readonly CommentPart[];
  readonly blockTags?: readonly {
    readonly tag: string;
    readonly content: readonly CommentPart[];
  }[];
}

interface Type {
  readonly type: string;
  readonly name?: string;
  readonly types?: readonly Type[];
}

/** A symbol, as typedoc's JSON has it. */
export interface Reflection {
  readonly name: string;
  readonly comment?: Comment;
  readonly type?: Type;
  readonly children?: readonly Reflection[];
  readonly signatures?: readonly Reflection[];
  readonly getSignature?: Reflection;
  readonly parameters?: readonly Reflection[];
  /** Set where the documentation is that of the member that is implemented, or stands there. */
  readonly implementationOf?: unknown;
  readonly overwrites?: unknown;
  readonly inheritedFrom?: unknown;
}

/** What fails later than it returns. */
const ASYNCHRONOUS = ['Promise', 'Awaitable', 'AsyncIterable', 'AsyncGenerator'];
/** Names of numbers that stand for a place on a disk or in a file, or for a stretch of it. */
const PLACE = /(offset|length|size|position|start|end)$/i;
const UNIT = /\b(bytes?|sectors?)\b/i;

/**
 * Symbols whose documentation lacks what users need: what an asynchronous function throws, and the unit of
 * places and lengths.
 *
 * @returns one line for each
 */
export function docstringProblems(project: Reflection): readonly string[] {
  return (project.children ?? []).flatMap((child) => problemsOf(child, [], ''));
}

function problemsOf(
  reflection: Reflection,
  path: readonly string[],
  context: string,
): readonly string[] {
  const here = [...path, reflection.name];
  const name = here.join('.');
  const { signatures = [], children = [], getSignature } = reflection;
  const value = getSignature ?? reflection;
  const documentation = textOf(getSignature?.comment ?? reflection.comment);
  const described = `${context} ${documentation}`;
  return [
    ...signatures
      .filter((signature) => ![reflection, signature].some(isDocumentedElsewhere))
      .flatMap((signature) => signatureProblems(signature, name, context)),
    ...(isPlace(reflection.name, value.type) &&
    !isDocumentedElsewhere(reflection) &&
    !UNIT.test(described)
      ? [`${name}: does not say 'bytes'`]
      : []),
    ...children.flatMap((child) => problemsOf(child, here, described)),
  ];
}

function signatureProblems(
  { comment, parameters = [], type }: Reflection,
  name: string,
  context: string,
): readonly string[] {
  const isAsynchronous = type?.type === 'reference' && ASYNCHRONOUS.includes(type.name ?? '');
  const saysThrows = comment?.blockTags?.some(({ tag }) => tag === '@throws') === true;
  return [
    ...(isAsynchronous && !saysThrows ? [`${name}: has no @throws`] : []),
    ...parameters
      .filter((parameter) => isPlace(parameter.name, parameter.type))
      .filter((each) => !UNIT.test(`${textOf(each.comment)} ${textOf(comment)} ${context}`))
      .map((parameter) => `${name}: does not say 'bytes' of ${parameter.name}`),
  ];
}

function isDocumentedElsewhere(reflection: Reflection): boolean {
  const { implementationOf, overwrites, inheritedFrom } = reflection;
  return [implementationOf, overwrites, inheritedFrom].some((each) => each !== undefined);
}

function isPlace(name: string, type: Type | undefined): boolean {
  return PLACE.test(name) && isNumber(type);
}

function isNumber(type: Type | undefined): boolean {
  return (
    (type?.type === 'intrinsic' && type.name === 'number') ||
    (type?.type === 'union' && (type.types ?? []).some(isNumber))
  );
}

function textOf(comment: Comment | undefined): string {
  const parts = [
    ...(comment?.summary ?? []),
    ...(comment?.blockTags ?? []).flatMap(({ content }) => content),
  ];
  return parts.map(({ text }) => text).join(' ');
}
