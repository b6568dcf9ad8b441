// Messages of google.protobuf.
export * from '@bufbuild/protobuf/wkt';
