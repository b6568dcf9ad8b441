import type { LoadBalancerFactory } from '@weft/data-plane';

/** Always the first host that is available; hosts that earlier attempts of the request used come last. */
export const firstListed: LoadBalancerFactory = {
  name: 'shop.load_balancing.first_listed',
  typeUrl: 'type.googleapis.com/shop.FirstListed',
  parse: () => undefined,
  create: () => ({
    // `hosts` are those of one priority and locality that are healthy; panic, priorities and subsets are decided around this.
    update: (hosts) => ({
      pick: ({ attempted = [] }) => hosts.find((host) => !attempted.includes(host)) ?? hosts[0],
    }),
  }),
};
