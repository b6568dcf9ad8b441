// Generates src/gen from the protobuf definitions that @grpc/grpc-js-xds ships and those in ./proto.
//
// Three steps: copy the definitions into one folder that buf accepts, build them into one image, and take the
// annotations out of the image before generating. The annotations (validation rules, versioning, security) are not
// read at run time, and parsing them would be most of what importing the package costs.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { newerFields } from './newer-fields.mjs';

const here = dirname(dirname(fileURLToPath(import.meta.url)));
const root = dirname(dirname(here));
const work = join(root, '.cache', 'xds-api');
const require = createRequire(import.meta.url);
const deps = join(dirname(require.resolve('@grpc/grpc-js-xds/package.json')), 'deps');

/** Definitions that import something the package does not ship, or that no version-3 resource refers to. */
const leftOut = [
  /\/v2(alpha\d*)?\//, /\/v1alpha\d\//, /^envoy\/api\//, /^envoy\/config\/(filter|transport_socket|retry|resource_monitor|ratelimit\/v2|cluster\/redis|cluster\/dynamic_forward_proxy|cluster\/aggregate|common\/tap|common\/dynamic_forward_proxy|health_checker)\//,
  /^envoy\/(watchdog|type\/(http|http_status|percent|range|semantic_version|token_bucket|hash_policy)\.proto|type\/(matcher|metadata|tracing)\/[^/]*\.proto|type\/(matcher|metadata|tracing)\/v2\/)/,
  /^envoy\/extensions\/filters\/(udp|network\/(dubbo_proxy|mongo_proxy|thrift_proxy|redis_proxy|zookeeper_proxy))\//,
  /^envoy\/extensions\/(quic|clusters\/redis|health_checkers|udp_packet_writer|geoip_providers|tracers|stat_sinks|bootstrap|network|watchdog|key_value)\//,
  /^envoy\/config\/trace\/v3\/(opencensus|service|trace)\.proto$/, /^envoy\/service\/(trace|metrics|event_reporting|tap|ext_proc|rate_limit_quota|extension)\//,
  /^envoy\/data\/(tap|dns)\//, /^envoy\/extensions\/access_loggers\/open_telemetry\//,
];

const sources = [
  { from: join(deps, 'envoy-api'), roots: /^envoy\/.*\.proto$/ },
  { from: join(deps, 'xds'), roots: /^(xds|udpa)\/.*\.proto$/ },
  { from: join(deps, 'googleapis'), roots: /^google\/rpc\/[a-z_]+\.proto$/ },
  { from: join(deps, 'protoc-gen-validate', 'validate'), as: 'validate', roots: /^$/ },
  { from: join(here, 'proto'), roots: /\.proto$/ },
];

function files(folder, base = folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? files(join(folder, entry.name), base) : [relative(base, join(folder, entry.name))],
  );
}

rmSync(work, { recursive: true, force: true });
const protos = join(work, 'proto');
mkdirSync(protos, { recursive: true });
const roots = [];
for (const { from, as, roots: wanted } of sources) {
  if (!existsSync(from) || !statSync(from).isDirectory()) throw new Error(`xds-api: ${from} is missing: run npm ci`);
  cpSync(from, as ? join(protos, as) : protos, { recursive: true });
  if (!as) roots.push(...files(from).filter((file) => wanted.test(file) && !leftOut.some((re) => re.test(file))));
}

// The shipped validate.proto is older than the Envoy definitions beside it, which set `ignore_empty`.
const validate = join(protos, 'validate', 'validate.proto');
writeFileSync(
  validate,
  readFileSync(validate, 'utf8').replace(/^message (\w+Rules) \{$/gm, (line, name) =>
    name === 'FieldRules' ? line : `${line}\n  optional bool ignore_empty = 536870000;`,
  ),
);
for (const addition of newerFields) addTo(...addition);

function addTo(file, line, text, { before = false, instead = false } = {}) {
  const path = join(protos, file);
  const known = readFileSync(path, 'utf8').replaceAll('\r\n', '\n').split('\n');
  const at = known.indexOf(line);
  if (at === -1) throw new Error(`xds-api: ${file} has no line ${line}`);
  // An import may stand there by now.
  const added = text.startsWith('import ') ? text.split(/(?<=;) /).filter((line) => !known.includes(line)).join(' ') : text;
  known.splice(before || instead ? at : at + 1, instead ? 1 : 0, added);
  writeFileSync(path, known.join('\n'));
}

writeFileSync(join(work, 'buf.yaml'), 'version: v2\nmodules:\n  - path: proto\n');

const buf = join(root, 'node_modules', '.bin', 'buf');
const image = join(work, 'image.binpb');
run(['build', work, '--exclude-source-info', '--as-file-descriptor-set', '-o', image, ...[...new Set(roots)].flatMap((file) => ['--path', join(protos, file)])]);

const annotations = /^(validate\/|udpa\/annotations\/|xds\/annotations\/|envoy\/annotations\/|google\/api\/(?!expr\/))/;
const set = fromBinary(FileDescriptorSetSchema, readFileSync(image));
set.file = set.file.filter((file) => !annotations.test(file.name));
for (const file of set.file) {
  file.options = undefined;
  file.dependency = file.dependency.filter((name) => !annotations.test(name));
  file.weakDependency = [];
  file.publicDependency = [];
  file.messageType.forEach(stripMessage);
  file.enumType.forEach(stripEnum);
  for (const service of file.service) {
    service.options = undefined;
    for (const method of service.method) method.options = undefined;
  }
}
writeFileSync(image, toBinary(FileDescriptorSetSchema, set));

rmSync(join(here, 'src', 'gen'), { recursive: true, force: true });
run(['generate', image, '--template', join(here, 'buf.gen.yaml')]);
writeAll();
console.log(`xds-api: generated ${files(join(here, 'src', 'gen')).length} files from ${roots.length} definitions`);

/** One list of every generated file, for the Any registry of tools that must know all types. */
function writeAll() {
  const gen = join(here, 'src', 'gen');
  const names = files(gen).filter((file) => file.endsWith('_pb.ts')).sort();
  const lines = names.map((file, index) => {
    const [symbol] = readFileSync(join(gen, file), 'utf8').match(/(?<=^export const )file_\w+/m);
    return [`import { ${symbol} as f${index} } from './${file.replace(/\.ts$/, '.js')}';`, `f${index}`];
  });
  writeFileSync(join(gen, 'all.ts'), `${lines.map(([line]) => line).join('\n')}\n\nexport const allFiles = [${lines.map(([, name]) => name).join(', ')}];\n`);
}

function run(args) {
  const { status, error } = spawnSync(buf, args, { stdio: 'inherit', cwd: here });
  if (error) throw error;
  if (status !== 0) throw new Error(`xds-api: buf ${args[0]} failed`);
}

/** Keeps what the codec reads (map entries, packing) and drops the extensions, which arrive as unknown fields. */
function stripOptions(options) {
  if (options) options.$unknown = undefined;
}
function stripMessage(message) {
  stripOptions(message.options);
  for (const field of message.field) stripOptions(field.options);
  for (const oneof of message.oneofDecl) stripOptions(oneof.options);
  message.enumType.forEach(stripEnum);
  message.nestedType.forEach(stripMessage);
}
function stripEnum(type) {
  stripOptions(type.options);
  for (const value of type.value) stripOptions(value.options);
}
