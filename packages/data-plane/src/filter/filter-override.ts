/** Stands in FilterOverrides for `FilterConfig { disabled: true }`: the filter does not run there. */
export const disabledFilter: unique symbol = Symbol('disabled filter');

/** Stands in FilterOverrides for `FilterConfig {}` without a configuration: the filter runs there, though the listener disables it. */
export const enabledFilter: unique symbol = Symbol('enabled filter');
