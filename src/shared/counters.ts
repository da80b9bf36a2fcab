import type { Logger, Metrics } from '@libp2p/interface'

/** Makes counters of injected metrics. One that throws is logged: no work fails by being counted. */
export function counters (metrics: Metrics, prefix: string, log?: Logger): (name: string, help: string) => (by?: number) => void {
  return (name, help) => {
    const full = `${prefix}_${name}_total`
    const counter = metrics.registerCounter(full, { help })
    return by => {
      try {
        counter.increment(by)
      } catch (error) {
        log?.error('the counter %s failed - %e', full, error)
      }
    }
  }
}
