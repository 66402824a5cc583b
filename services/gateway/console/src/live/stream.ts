// The event stream, kept open: the gateway may be killed and come back, the
// machine may sleep, and the page goes on by itself.
import type { Store } from './store'

const KINDS = ['hello', 'tick', 'status', 'state', 'meta', 'locks', 'ack', 'outcome', 'run', 'report', 'log', 'sensor', 'removed', 'bye']
const FIRST = 250 // ms before the next attempt, doubled up to MOST
const MOST = 2000
const SILENT = 4000 // ms after which a connection that brings nothing is given up

export interface Source {
  addEventListener: (kind: string, f: (e: MessageEvent<string>) => void) => void
  close: () => void
}

interface Needs {
  open: () => Source
  now: () => number
  // alive asks who uses the page; false when there is no answer. It goes to the login page by itself.
  alive: () => Promise<boolean>
  loggedIn: () => boolean
  bye: (reason: string) => void
}

export class Stream {
  #store: Store
  #needs: Needs
  #source: Source | null = null
  #wait = FIRST
  #next = 0 // when to try again; 0 while connected or trying
  #last = 0 // when something came, or the attempt began
  #looked = 0
  #on = false

  constructor (store: Store, needs: Needs) {
    this.#store = store
    this.#needs = needs
  }

  start (): void {
    if (this.#on) return
    this.#on = true
    this.#looked = this.#needs.now()
    this.#connect()
  }

  stop (): void {
    this.#on = false
    this.#drop()
    this.#next = 0
  }

  // look is called four times a second: it moves the store's clock, and gives up what is silent.
  look (): void {
    const now = this.#needs.now()
    const slept = now - this.#looked > 10_000 || now < this.#looked - 1000
    this.#looked = now
    this.#store.now.value = now
    if (!this.#on) return
    if (this.#source && (now - this.#last > SILENT || now < this.#last - 1000 || (slept && this.#store.link.value === 'gateway'))) this.#again()
    else if (this.#next > 0 && now >= this.#next) this.#connect()
  }

  #connect (): void {
    this.#next = 0
    this.#last = this.#needs.now()
    const source = this.#needs.open()
    this.#source = source
    for (const kind of KINDS) source.addEventListener(kind, e => { if (this.#source === source) this.#event(kind, e.data) })
    source.addEventListener('error', () => { if (this.#source === source) void this.#failed() })
  }

  #event (kind: string, text: string): void {
    this.#last = this.#needs.now()
    const data: unknown = JSON.parse(text)
    if (kind === 'bye') {
      this.stop()
      this.#needs.bye((data as { reason?: string }).reason ?? '')
      return
    }
    if (kind === 'hello') this.#wait = FIRST
    this.#store.apply(kind, data, this.#last)
  }

  // failed: EventSource does not say why. A 401 ends it, anything else is tried again.
  async #failed (): Promise<void> {
    this.#again()
    await this.#needs.alive()
    if (this.#on && !this.#needs.loggedIn()) this.stop()
  }

  #again (): void {
    this.#drop()
    this.#next = this.#needs.now() + this.#wait
    this.#wait = Math.min(this.#wait * 2, MOST)
  }

  #drop (): void {
    this.#source?.close()
    this.#source = null
  }
}
