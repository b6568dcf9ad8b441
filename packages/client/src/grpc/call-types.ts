// Types of grpc-js that its index does not name.
import type { ChannelInterface, InterceptingListener, Metadata, StatusObject } from '@grpc/grpc-js';

export type Call = ReturnType<ChannelInterface['createCall']>;
export type MessageContext = Parameters<Call['sendMessageWithContext']>[0];
export type CallCredentials = Parameters<Call['setCredentials']>[0];
export type ServerCall = NonNullable<Parameters<ChannelInterface['createCall']>[3]>;
export type { InterceptingListener, Metadata, StatusObject };
