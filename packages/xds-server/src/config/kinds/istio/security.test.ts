import { describe, expect, it } from 'vitest';
import { kindText, normalizeText, only } from '../../testing.js';

const peer = (spec: string, metadata?: string) => kindText('security.istio.io/v1', 'PeerAuthentication', spec, metadata);
const authz = (spec: string, metadata?: string) => kindText('security.istio.io/v1', 'AuthorizationPolicy', spec, metadata);
const problems = (text: string) => normalizeText(text).problems.map((line) => line.replace(/^(warning: )?\S+ \w+ [\w/-]+: spec/, '$1'));

describe('PeerAuthentication', () => {
  it('reads mode, selector and ports of workloads; UNSET and nothing inherit', () => {
    expect(only('peer-policy', peer('{mtls: {mode: STRICT}}'))).toMatchObject({ mode: 'strict', ports: {} });
    const found = only('peer-policy', peer('{selector: {matchLabels: {app: a}}, mtls: {mode: UNSET}, portLevelMtls: {8080: {mode: DISABLE}, "81": {mode: UNSET}}}'));
    expect(found.selector).toEqual({ app: 'a' });
    expect(found).not.toHaveProperty('mode');
    expect(found.ports).toEqual({ 81: undefined, 8080: 'disable' });
    expect(only('peer-policy', 'apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: x}\n')).not.toHaveProperty('mode');
  });

  it.each([
    ['{mtls: {mode: strict}}', '.mtls.mode: must be one of UNSET, DISABLE, PERMISSIVE, STRICT, not "strict"'],
    ['{portLevelMtls: {8080: {mode: STRICT}}}', '.portLevelMtls: needs a selector: ports are those of workloads'],
    ['{selector: {matchLabels: {a: b}}, portLevelMtls: {http: {mode: STRICT}}}', '.portLevelMtls.http: is not a port number'],
    ['{mtsl: {mode: STRICT}}', '.mtsl: is not a known field'],
  ])('is refused for %s', (spec, expected) => expect(problems(peer(spec))).toEqual([expected]));

  it('is refused where spec itself is misspelt: it would be a policy that says nothing', () => {
    expect(normalizeText(peer('{}').replace('spec:', 'spce:')).problems[0]).toContain('spce: is not a known field');
  });

  it('warns about a selector in the root namespace', () => {
    expect(problems(peer('{selector: {matchLabels: {a: b}}, mtls: {mode: STRICT}}', 'name: x, namespace: istio-system'))[0]).toMatch(/^warning: \.selector: selects nothing/);
  });
});

describe('AuthorizationPolicy', () => {
  it('without rules never matches, with an empty rule always does', () => {
    expect(only('authorization', authz('{}'))).toMatchObject({ action: 'allow', rules: [], dryRun: false });
    expect(only('authorization', authz('{action: DENY, rules: [{}]}')).rules).toEqual([{ from: [], to: [], when: [] }]);
    expect(only('authorization', 'apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: x}\n').rules).toEqual([]);
  });

  it('reads sources, operations and conditions; an account without namespace is of the policy', () => {
    const found = only('authorization', authz(`{selector: {matchLabels: {app: a}}, rules: [{
      from: [{source: {principals: ["cluster.local/ns/a/sa/b", "*"], ipBlocks: [10.0.0.0/8, "2001:db8::1"]}}, {source: {serviceAccounts: [sa, other/sa]}}],
      to: [{operation: {hosts: ["*.a"], ports: ["80"], methods: [GET], paths: [/a*, "/x/{*}/{**}"], notPaths: [/b]}}],
      when: [{key: "request.headers[x-a]", values: [v*]}, {key: source.ip, notValues: [10.0.0.1]}]}]}`, 'name: x, namespace: shop, annotations: {istio.io/dry-run: "true"}'));
    expect(found).toMatchObject({ selector: { app: 'a' }, dryRun: true, namespace: 'shop' });
    expect(found.rules[0]).toMatchObject({
      from: [{ principals: ['cluster.local/ns/a/sa/b', '*'], ipBlocks: ['10.0.0.0/8', '2001:db8::1'] }, { serviceAccounts: ['shop/sa', 'other/sa'] }],
      to: [{ hosts: ['*.a'], ports: [80], methods: ['GET'], paths: ['/a*', '/x/{*}/{**}'], notPaths: ['/b'] }],
      when: [{ key: 'request.headers[x-a]', values: ['v*'], notValues: [] }, { key: 'source.ip', values: [], notValues: ['10.0.0.1'] }],
    });
  });

  describe('what is not implemented never allows more', () => {
    const gap = '{from: [{source: {requestPrincipals: ["*"]}}], to: [{operation: {methods: [GET]}}]}';
    const more = '{from: [{source: {namespaces: [a], remoteIpBlocks: [10.0.0.1]}}]}';
    const when = '{when: [{key: "request.auth.claims[group]", values: [admin]}]}';

    it('an ALLOW rule that has it allows nothing, and the others still count', () => {
      const { objects, problems: found, errors } = normalizeText(authz(`{rules: [${gap}, ${more}, ${when}, {from: [{source: {namespaces: [b]}}]}]}`));
      expect(errors).toBe(0);
      expect(found).toHaveLength(3);
      expect(found[0]).toContain('spec.rules[0].from[0].source.requestPrincipals: is not implemented: this rule allows nothing');
      expect(objects[0]).toMatchObject({ action: 'allow', rules: [{ from: [{ namespaces: ['b'] }] }] });
    });

    it('in a DENY rule the field is dropped, so more is denied', () => {
      const { objects, errors } = normalizeText(authz(`{action: DENY, rules: [${gap}, ${more}, ${when}]}`));
      expect(errors).toBe(0);
      expect(objects[0]).toMatchObject({ rules: [{ from: [], to: [{ methods: ['GET'] }], when: [] }, { from: [{ namespaces: ['a'] }] }, { from: [], to: [], when: [] }] });
    });

    it('CUSTOM stays, so that it denies, with what it selects', () => {
      const { objects, problems: found } = normalizeText(authz(`{action: CUSTOM, provider: {name: p}, rules: [${gap}]}`));
      expect(objects[0]).toMatchObject({ action: 'custom', provider: 'p', rules: [{ from: [], to: [{ methods: ['GET'] }] }] });
      expect(found.at(-1)).toContain('everything the rules match is denied');
    });
  });

  it.each([
    ['{action: PERMIT}', '.action: must be one of ALLOW, DENY, AUDIT, CUSTOM, not "PERMIT"'],
    ['{action: CUSTOM}', '.provider: is required with CUSTOM'],
    ['{targetRefs: [{kind: Service, name: a}]}', '.targetRefs: is not implemented: use selector'],
    ['{rules: [{form: []}]}', '.rules[0].form: is not a known field'],
    ['{rules: [{to: [{operation: {path: [/a]}}]}]}', '.rules[0].to[0].operation.path: is not a known field'],
    ['{rules: [{from: [{source: {}}]}]}', '.rules[0].from[0].source: is empty: it must say who'],
    ['{rules: [{from: [{source: {principals: []}}]}]}', '.rules[0].from[0].source.principals: must not be an empty list'],
    ['{rules: [{from: [{source: {principals: ["spiffe://td/ns/a/sa/b"]}}]}]}', '.rules[0].from[0].source.principals: spiffe://td/ns/a/sa/b: write it without spiffe://'],
    ['{rules: [{from: [{source: {principals: ["a*b"]}}]}]}', '.rules[0].from[0].source.principals[0]: "a*b": * may only be the first or the last character'],
    ['{rules: [{from: [{source: {ipBlocks: [10.0.0.0/33]}}]}]}', '.rules[0].from[0].source.ipBlocks[0]: "10.0.0.0/33" is neither an address nor a range'],
    ['{rules: [{from: [{source: {serviceAccounts: [a], namespaces: [b]}}]}]}', '.rules[0].from[0].source.serviceAccounts: cannot stand beside principals or namespaces'],
    ['{rules: [{to: [{operation: {ports: ["http"]}}]}]}', '.rules[0].to[0].operation.ports: "http" is not a port number'],
    ['{rules: [{to: [{operation: {paths: ["/{**}/a"]}}]}]}', '.rules[0].to[0].operation.paths[0]: "/{**}/a": {**} may only be the last segment'],
    ['{rules: [{to: [{operation: {paths: ["/{id}"]}}]}]}', '.rules[0].to[0].operation.paths[0]: "/{id}": a template knows only the segments {*} and {**}'],
    ['{rules: [{when: [{key: source.colour, values: [red]}]}]}', '.rules[0].when[0].key: "source.colour" is not a condition'],
    ['{rules: [{when: [{key: source.namespace}]}]}', '.rules[0].when[0].values: one of values and notValues is required'],
    ['{selector: {matchLabels: {app: "a*"}}}', '.selector.matchLabels: labels are compared exactly: no wildcards, no empty keys'],
  ])('is refused for %s', (spec, expected) => expect(problems(authz(spec)).filter((line) => !line.startsWith('warning'))).toContain(expected));
});
