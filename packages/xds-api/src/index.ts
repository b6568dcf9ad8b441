// Area files are separate entry points (`@weft/xds-api/route`), so that a process parses only the descriptors it reads.
export { packAny, typeUrl, unpackAny } from './any.js';
export { serviceDefinition, type MethodDefinition, type ServiceDefinition } from './service.js';
