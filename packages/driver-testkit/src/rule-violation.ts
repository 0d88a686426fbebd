import { RULES, type RuleId } from './rules.js';

/** Where the rules are written. */
const DOCUMENT = '@lamella/driver-testkit/driver-rules.md';

/** A driver broke a rule: the message says what happened, which rule that is and where to read about it. */
export class RuleViolation extends Error {
  /** Always `RuleViolation`. */
  override readonly name = 'RuleViolation';
  /** Number of the rule. */
  readonly rule: RuleId;
  /** Where the rule is explained: a path in `node_modules` with an anchor. */
  readonly see: string;

  /**
   * @param rule - number of the rule
   * @param cause - what went wrong
   */
  constructor(rule: RuleId, cause: unknown) {
    const see = `${DOCUMENT}#${rule}`;
    const { of, text } = RULES[rule];
    super(`${describe(cause)}\n  breaks rule ${rule} of ${of}: ${text}\n  see ${see}`, { cause });
    this.rule = rule;
    this.see = see;
  }
}

function describe(cause: unknown): string {
  return cause instanceof Error
    ? `${cause.name === 'Error' ? '' : `${cause.name}: `}${cause.message}`
    : String(cause);
}
