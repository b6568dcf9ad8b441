// Reading and writing single fields.
export * from '@bufbuild/protobuf/wire';
