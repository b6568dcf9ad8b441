import type { StringPredicate } from './regex.js';

// Letters that a segment may hold (RFC 3986 pchar, `%` for escapes), as Envoy's uri_template matcher has them.
const letters = "a-zA-Z0-9\\-._~%!$&'()*+,;:@=";
const segment = `[${letters}]+`;
const rest = `[${letters}/]*`;

/**
 * envoy.path.match.uri_template: `*` is one segment, `**` any number of them and last, `{name}` a segment with a name,
 * `{name=pattern}` a pattern with a name. Throws where the template is invalid.
 */
export function compileUriTemplate(template: string): StringPredicate {
  const { regex } = parseTemplate(template);
  return (path) => regex.test(path);
}

/**
 * envoy.path.rewrite.uri_template: the path with what the variables of `template` stand for in the places of `rewrite` (`/new/{name}`). A path that
 * does not match stays as it is. Throws where `rewrite` is invalid or names other variables.
 */
export function compileUriTemplateRewrite(template: string, rewrite: string): (path: string) => string {
  const { regex, names } = parseTemplate(template);
  if (!rewrite.startsWith('/')) throw new Error(`a URI template starts with /: ${rewrite}`);
  const parts = rewrite.split(/(\{[^{}]*\})/).map((part) => {
    if (!part.startsWith('{')) {
      if (/[{}*]/.test(part)) throw new Error(`not a URI template for a rewrite: ${rewrite}`);
      return { text: part };
    }
    const name = part.slice(1, -1);
    if (!names.has(name)) throw new Error(`variable ${name} is not one of ${template}`);
    return { name };
  });
  return (path) => {
    const match = regex.exec(path);
    return match ? parts.map((part) => part.text ?? match.groups?.[part.name!]).join('') : path;
  };
}

function parseTemplate(template: string): { regex: RegExp; names: ReadonlySet<string> } {
  if (!template.startsWith('/')) throw new Error(`a URI template starts with /: ${template}`);
  const names = new Set<string>();
  let open = true;
  const source = splitOutsideBraces(template.slice(1)).map((part) => {
    if (!open) throw new Error(`** must be the last part: ${template}`);
    const variable = /^\{([a-zA-Z][a-zA-Z0-9_]{0,15})(?:=(.+))?\}(.*)$/.exec(part);
    if (!variable) return literalOrWildcard(part);
    const [, name = '', pattern = '*', suffix = ''] = variable;
    if (names.has(name)) throw new Error(`variable ${name} is there twice: ${template}`);
    if (names.add(name).size > 5) throw new Error(`at most 5 variables: ${template}`);
    return `(?<${name}>${pattern.split('/').map(literalOrWildcard).join('/')})${literalOrWildcard(suffix)}`;
  });
  return { regex: new RegExp(`^/${source.join('/')}$`), names };

  function literalOrWildcard(part: string): string {
    if (part === '*') return segment;
    if (part === '**') {
      open = false;
      return rest;
    }
    if (/[*{}]/.test(part)) throw new Error(`not a URI template: ${template}`);
    return part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  }
}

function splitOutsideBraces(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let from = 0;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '{') depth++;
    else if (text[i] === '}') depth--;
    else if (text[i] === '/' && depth === 0) {
      parts.push(text.slice(from, i));
      from = i + 1;
    }
  }
  parts.push(text.slice(from));
  return parts;
}
