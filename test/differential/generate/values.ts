// What names, paths and values are drawn from: small pools, so that matchers and requests meet.

export const hosts = ['a.test', 'b.test', 'api.a.test', 'x.api.a.test', 'c.example.org', 'a.other', 'api.other.test', 'UP.Test', '10.0.0.1', '[::1]', 'a'];
export const ports = ['80', '8080', '443', '1'];

export const segments = ['a', 'b', 'A', 'api', 'v1', 'users', '42', 'x%20y', '%2F', '%2e%2E', 'a.b', 'a.js', '..', '.', '', '%C3%A9', 'a;p=1', '~', 'a+b', 'a:b', 'a@b', "it's", '(1)', '*', 'a%00'.slice(0, 1), 'user%2f42', '%41', '{x}'];
export const queries = ['', 'q=1', 'q=', 'q', 'q=2&q=1', 'Q=1', 'p=a&q=b', 'q=%31', 'p=a%26q&x=1', '&q=1', 'q=1&', 'q=a=b', 'q=1?x=2', 'x=/a/b', 'qq=1', 'p=abc'];

export const headerNames = ['x-a', 'x-b', 'x-c', 'x-num', 'x-user', 'x-cluster', 'x-host', 'x-fault', 'accept-language', 'user-agent', 'cookie', 'x-under_score'];
export const headerValues = ['1', 'a', 'A', 'abc', 'ABC', 'a,b', 'b', '10', '-5', '5.5', '007', '', 'x=y; z', '%41', '\u00e9', 'a b', 'ab'.repeat(40), '9223372036854775807', '99999999999999999999', '+3', '/a/b'];

export const prefixes = ['/', '/', '/a', '/a/', '/api', '/API', '/a/b', '', '/v1/users/', '/a/%2F', '/v1', '/b', '/x%20y', '/%41'];
export const exacts = ['/', '/a', '/a/b', '/A/b', '/api/v1', '/v1/users/42', '/b', '/a/', '/a.js', '/%C3%A9'];
export const separated = ['/a', '/a/b', '/api', '/v1/users', '/A', '/b', '/a.b'];
export const regexes = ['/a.*', '/[a-z]+/[0-9]+', '.*\\.js', '/(a|b)/.*', '/v1/users/[^/]+', '(?i)/API.*', '/a', '.*', '/[^/]*', '/a/?b?', '.*%2[fF].*', '/\\w+(/\\w+)*', '^/b.*$', '/.*/b'];
export const templates = ['/a/{x}', '/{x=**}', '/v1/{id}/*', '/v1/users/{id}', '/a/**', '/{x=*}/b', '/{x}/{y}', '/*', '/a/*/b', '/api/{x=v1/*}', '/{x}.js'.replace('.js', ''), '/v1/{x=users/42}'];

export const literals = ['a', '1', 'abc', 'ABC', 'b', 'a,b', '10', 'A', 'a b', 'x'];
export const valueRegexes = ['a.*', '[0-9]+', 'a|b', '.*', '(?i)ABC', '[a-c]*', '\\d{1,2}', '.+', 'a,.*', '^a$'];

export const origins = ['http://a.test', 'https://a.test', 'http://b.test', 'http://a.test:8080', 'null', 'https://evil.example'];
