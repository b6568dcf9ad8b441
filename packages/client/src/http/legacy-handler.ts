// Node's bundled undici (6 and 7) and libraries built for it hand over handlers of the older form.
import { Dispatcher1Wrapper, type Dispatcher } from 'undici';

// Public at run time, left out of undici's types.
const wrap = (Dispatcher1Wrapper as unknown as { wrapHandler(handler: unknown): Dispatcher.DispatchHandler }).wrapHandler;

/** @throws undici's InvalidArgumentError where it is no handler at all. */
export function handlerOf(handler: Dispatcher.DispatchHandler): Dispatcher.DispatchHandler {
  return typeof (handler as { onRequestStart?: unknown } | undefined)?.onRequestStart === 'function' ? handler : wrap(handler);
}
