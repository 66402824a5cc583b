// The gateway's clock, as seen from here. A message takes at least no time, so
// the smallest difference between here and there is closest to the true offset;
// it is taken over the last minute or two, because clocks drift and are set.
// A stream that is late all the time looks the same as a clock that is behind. So
// it is asked for the time now and then: an answer was made between question and
// answer, and that bounds the offset from both sides.
import type { State } from '../api/types'

const WINDOW = 60_000 // ms
const DRIFT = 1e-3 // by which clocks may run apart, far more than they do

export class Clock {
  #best = Infinity
  #before = Infinity
  #turn = 0
  #asked: { at: number, least: number, most: number } | null = null

  // reset forgets what messages have said, after a new connection. What was asked for still bounds it.
  reset (): void {
    this.#best = this.#before = Infinity
    this.#turn = 0
  }

  // forget forgets all, when the gateway's clock was set back.
  forget (): void {
    this.reset()
    this.#asked = null
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
    // A message that came before it was sent: a clock was set since the answer.
    if (this.#asked && client - gateway < this.#asked.least - this.#slack(client)) this.#asked = null
  }

  // trip learns from an answer `gateway` to a question of `sent`, that was here at `back`.
  trip (sent: number, back: number, gateway: number): void {
    if (back < sent) return // this clock was set meanwhile
    this.#asked = { at: back, least: sent - gateway, most: back - gateway }
    if (Math.min(this.#best, this.#before) < this.#asked.least) this.reset() // a clock was set since those messages
    this.sample(back, gateway)
  }

  // offset is how far this clock is ahead of the gateway's, ms; 0 until something was heard.
  get offset (): number {
    const o = Math.min(this.#best, this.#before)
    if (!Number.isFinite(o)) return this.#asked?.most ?? 0
    if (!this.#asked) return o
    const slack = this.#slack(this.#turn)
    return Math.min(this.#asked.most + slack, Math.max(this.#asked.least - slack, o))
  }

  // slack is by how much the clocks may have run apart since the answer. The time is that of the window: a message may not move it.
  #slack (client: number): number { return this.#asked ? Math.max(0, client - this.#asked.at) * DRIFT : 0 }

  // gateway is the gateway's time at the time `client` here.
  gateway (client: number): number { return client - this.offset }
}

export type Freshness = 'live' | 'stale' | 'invalid' | 'none'

const JITTER = 50 // ms, of an instrument's answers
const LONGEST = 3600 // s, that a driver can be given

// freshnessOf says what a value of this age is worth, docs/contract.md, section 5: older than 1.5 periods stale, than 5 invalid. That of a
// device which does not read its instrument is at best stale. It is the rule of ../../live/age.go.
export function freshnessOf (age: number, period: number, state?: Pick<State, 'state'> | null): Freshness {
  const p = period > 0 && period <= LONGEST ? period * 1000 : 1000
  if (age > 5 * p + JITTER) return 'invalid'
  if (age > 1.5 * p + JITTER) return 'stale'
  return state && ['unreachable', 'stopped', 'lost'].includes(state.state) ? 'stale' : 'live'
}
