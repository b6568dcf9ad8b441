import { RE2JS } from 're2js';

// Matching costs program × text. A few thousand instructions are more than any path needs, and nested repeats reach millions with a short
// pattern (Envoy's re2.max_program_size has the same purpose).
const largestProgram = 5000;
const longestPattern = 4096;

/** @throws where it is not RE2, or so large that matching it would cost others their turn. */
export function compileRe2(pattern: string): RE2JS {
  const shown = JSON.stringify(pattern.length > 100 ? `${pattern.slice(0, 100)}…` : pattern);
  const refuse = (why: string, cause?: unknown) => new Error(`not a RE2 pattern: ${shown}: ${why}`, { cause });
  if (pattern.length > longestPattern) throw refuse(`${pattern.length} characters, more than ${longestPattern}`);
  let regex: RE2JS;
  try {
    regex = RE2JS.compile(pattern);
  } catch (error) {
    throw refuse(error instanceof Error ? error.message : String(error), error);
  }
  const size = regex.programSize();
  if (size > largestProgram) throw refuse(`it needs ${size} instructions, more than ${largestProgram}`);
  return regex;
}
