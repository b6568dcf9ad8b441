const same = (bytes) => bytes;

/** Bytes in, the same bytes out. */
export const echoDefinition = {
  Echo: { path: '/bench.Echo/Echo', requestStream: false, responseStream: false, requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same },
};
