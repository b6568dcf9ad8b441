/** Istio serves one meaning under all versions of its API. */
export const istioVersions = ['v1', 'v1beta1', 'v1alpha3'] as const;
export const networking = 'networking.istio.io';
export const security = 'security.istio.io';
