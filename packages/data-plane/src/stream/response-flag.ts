/**
 * Envoy's response flags that an in-process mesh can give, for access logs, metrics and errors:
 * UH no healthy upstream, UO overflow (circuit breaking), UT upstream timeout, URX retry or attempt limit, UF connection failure,
 * UC connection termination, LR local reset, UR remote reset, NR no route, NC no cluster, DI delay injected, FI fault injected,
 * RL rate limited, RLSE the rate limit service failed, UAEX denied by external authorization, DC downstream went away, UPE upstream protocol error, SI stream idle timeout,
 * DF no address for a name, DT maximum stream duration, OM overload, DO dropped as the control plane asked (drop_overloads), IH strict header check.
 */
export type ResponseFlag =
  | 'DF' | 'UH' | 'UO' | 'UT' | 'URX' | 'UF' | 'UC' | 'LR' | 'UR' | 'NR' | 'NC' | 'DI' | 'FI' | 'RL' | 'RLSE' | 'UAEX' | 'DC' | 'UPE' | 'SI' | 'DT' | 'OM' | 'DO' | 'IH';
