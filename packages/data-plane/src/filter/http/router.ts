import { fromBinary } from '@weft/xds-api/protobuf';
import { RouterSchema } from '@weft/xds-api/http';
import type { HttpFilterFactory } from '../http-filter.js';

/** The terminal filter: stands for forwarding (clients) or the handler (servers), which the engines do themselves. */
export const router: HttpFilterFactory<void, void> = {
  name: 'envoy.filters.http.router',
  typeUrls: ['type.googleapis.com/envoy.extensions.filters.http.router.v3.Router'],
  messages: [RouterSchema],
  sides: ['client', 'server'],
  terminal: true,
  parse(_typeUrl, value) {
    const message = fromBinary(RouterSchema, value);
    if (message.suppressEnvoyHeaders) throw new Error('suppress_envoy_headers is not supported');
    if (message.strictCheckHeaders.length > 0) throw new Error('strict_check_headers is not supported');
  },
  create: () => ({ forRoute: () => undefined }),
};
