// The gateway's clock, as seen from here. A message takes at least no time, so
// the smallest difference between here and there is closest to the true offset;
// it is taken over the last minute or two, because clocks drift and are set.
const WINDOW = 60_000 // ms

export class Clock {
  #best = Infinity
  #before = Infinity
  #turn = 0

  // reset forgets what was seen, after a new connection or a sleep.
  reset (): void {
    this.#best = this.#before = Infinity
    this.#turn = 0
  }

  // sample learns from a message that said `gateway` and came at `client`, both ms since 1970.
  sample (client: number, gateway: number): void {
    if (this.#turn === 0) this.#turn = client
    if (client - this.#turn > WINDOW || client < this.#turn) {
      this.#before = this.#best
      this.#best = Infinity
      this.#turn = client
    }
    this.#best = Math.min(this.#best, client - gateway)
  }

  // offset is how far this clock is ahead of the gateway's, ms; 0 until something was heard.
  get offset (): number {
    const o = Math.min(this.#best, this.#before)
    return Number.isFinite(o) ? o : 0
  }

  // gateway is the gateway's time at the time `client` here.
  gateway (client: number): number { return client - this.offset }
}

export type Freshness = 'live' | 'stale' | 'invalid' | 'none'

// freshnessOf says what a value of this age is worth, docs/contract.md, section 5: older than 1.5 periods stale, than 5 invalid.
export function freshnessOf (age: number, period: number): Freshness {
  const p = period > 0 ? period * 1000 : 1000
  if (age > 5 * p) return 'invalid'
  return age > 1.5 * p ? 'stale' : 'live'
}
