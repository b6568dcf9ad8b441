// The protobuf runtime that the generated code stands on: one copy of it for all packages.
export * from '@bufbuild/protobuf';
