// Whether a pattern is RE2 as far as one can tell without an engine: what Envoy and gRPC clients would reject, or what
// only a backtracking engine knows (https://github.com/google/re2/wiki/Syntax).

/** Istio's cap; RE2 programs grow with the pattern. */
const maxLength = 1024;

/** The reason why it is none, or undefined. */
export function re2Problem(pattern: string): string | undefined {
  if (pattern === '') return 'must not be empty';
  if (pattern.length > maxLength) return `must not be longer than ${maxLength} characters`;
  let open = 0;
  let quantifiable = false;
  for (let at = 0; at < pattern.length; at++) {
    const rest = pattern.slice(at);
    const char = pattern[at]!;
    if (char === '\\') {
      if (rest.length === 1) return 'ends with a lone backslash';
      if (/^\\[1-9kG]/.test(rest)) return `${rest.slice(0, 2)}: RE2 has no back-references`;
      if (rest.startsWith('\\Q')) at = pattern.includes('\\E', at) ? pattern.indexOf('\\E', at) : pattern.length;
      at++;
      quantifiable = true;
    } else if (char === '[') {
      const length = classLength(rest);
      if (length === undefined) return 'has an unclosed [';
      at += length - 1;
      quantifiable = true;
    } else if (char === '(') {
      if (/^\(\?(=|!|<=|<!|>)/.test(rest)) return `${/^\(\?<?[=!>]/.exec(rest)?.[0] ?? '(?'}: RE2 has no look-around`;
      const group = /^\(\?(P?<\w+>|[imsU]*(-[imsU]+)?[:)])/.exec(rest)?.[0];
      if (rest.startsWith('(?') && group === undefined) return `${rest.slice(0, 4)}: not a group RE2 knows`;
      if (group !== undefined) at += group.length - 1;
      if (!group?.endsWith(')')) open++;
      quantifiable = false;
    } else if (char === ')') {
      if (open-- === 0) return 'has a ) without its (';
      quantifiable = true;
    } else if (/^([*+?]|\{\d+(,\d*)?\})/.test(rest)) {
      if (!quantifiable) return `${char} has nothing to repeat`;
      const bounds = /^\{(\d+),?(\d*)\}/.exec(rest);
      if (bounds && (Number(bounds[1]) > 1000 || Number(bounds[2]) > 1000)) return 'repeats more than 1000 times';
      at += (bounds?.[0].length ?? 1) - 1;
      if (pattern[at + 1] === '?') at++;
      quantifiable = false;
    } else {
      quantifiable = char !== '|' && char !== '^';
    }
  }
  return open > 0 ? 'has an unclosed (' : undefined;
}

/** Length of a character class that starts the text, `[:alpha:]` and a leading `]` included. */
function classLength(text: string): number | undefined {
  return /^\[\^?\]?(\[:\^?\w+:\]|\\[\s\S]|[^\]\\])*\]/.exec(text)?.[0].length;
}
