// A round trip to the gateway for its time.
import type { Clock } from './clock'

export const EVERY = 30_000 // ms
const MOST = 10_000 // ms that an answer may take
const JUMP = 500 // ms by which a clock was set and does not drift

interface Needs {
  // ask resolves to the answer's header X-Now, null when it has none.
  ask: (signal: AbortSignal) => Promise<string | null>
  now: () => number // ms since 1970
  steady: () => number // ms, of a clock that nobody sets
}

export class Trips {
  #clock: Clock
  #needs: Needs
  #last = -Infinity // by the steady clock
  #under = false
  #apart: number // of the clocks here

  constructor (clock: Clock, needs: Needs) {
    this.#clock = clock
    this.#needs = needs
    this.#apart = needs.now() - needs.steady()
  }

  // look is called every second or so. A clock that was set here is seen at once, since the other goes on as before.
  async look (): Promise<void> {
    const apart = this.#needs.now() - this.#needs.steady()
    const jumped = Math.abs(apart - this.#apart) > JUMP
    this.#apart = apart
    if (jumped || this.#needs.steady() - this.#last >= EVERY) await this.go()
  }

  // go asks now. No answer, or one without a time, is as if it had not been asked.
  async go (): Promise<void> {
    if (this.#under) return
    this.#under = true
    this.#last = this.#needs.steady()
    const sent = this.#needs.now()
    try {
      const text = await this.#needs.ask(AbortSignal.timeout(MOST))
      const took = this.#needs.steady() - this.#last
      const back = this.#needs.now()
      const gateway = Number(text ?? NaN)
      if (text && Number.isFinite(gateway) && gateway > 0 && Math.abs(back - sent - took) <= JUMP) this.#clock.trip(sent, back, gateway)
    } catch {
      // The stream says what there is to say of a gateway that does not answer.
    } finally {
      this.#under = false
    }
  }
}

// askHealth is HEAD /healthz.
export async function askHealth (signal: AbortSignal): Promise<string | null> {
  const response = await fetch('/healthz', { method: 'HEAD', cache: 'no-store', signal })
  return response.headers.get('X-Now')
}
