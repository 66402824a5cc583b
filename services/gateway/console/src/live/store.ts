// What the gateway's stream says of the laboratory, as signals: a component that
// reads one is drawn again when it changes, and no other is.
import { computed, signal, type ReadonlySignal, type Signal } from '@preact/signals'
import type { AckOf, Bus, Device, OutcomeOf, Reading, RunRecord, Schemas, Service, Snapshot, State } from '../api/types'
import { Clock, freshnessOf, type Freshness } from './clock'
import { Ring } from './ring'

export const LOST_AFTER = 2000 // ms without a tick
const ACKS = 500
const WRONG = 5000 // ms by which this machine's clock may differ without a word

// Link is what stands between the page and the laboratory: nothing heard yet, all well, the gateway or its bus lost.
export type Link = 'connecting' | 'ok' | 'gateway' | 'bus'

type Log = Schemas['log']

export class Store {
  readonly names = signal<string[]>([])
  readonly services = signal<Service[]>([])
  readonly sensors = signal<Reading[]>([])
  readonly run = signal<RunRecord | null>(null)
  readonly acks = signal<AckOf[]>([]) // the oldest first
  readonly bus = signal<Bus | null>(null)
  readonly hellos = signal(0)
  readonly heard = signal(0) // ms of the gateway's clock, of the last tick
  readonly now: Signal<number> // ms here, four times a second
  readonly skew = signal(0) // ms that this machine's clock is ahead of the gateway's, to a second or so
  readonly clock = new Clock()
  readonly ring = new Ring()

  #devices = new Map<string, Signal<Device | undefined>>()
  #fresh = new Map<string, ReadonlySignal<Freshness>>()
  #logs = new Set<(l: Log) => void>()
  #ackers = new Set<(a: AckOf) => void>()
  #tellers = new Set<(o: OutcomeOf) => void>()

  constructor (now: number) { this.now = signal(now) }

  // gatewayNow is the gateway's time now.
  readonly gatewayNow = computed(() => { void this.heard.value; return this.clock.gateway(this.now.value) })

  readonly link: ReadonlySignal<Link> = computed(() => {
    if (this.hellos.value === 0) return 'connecting'
    if (this.gatewayNow.value - this.heard.value > LOST_AFTER) return 'gateway'
    const b = this.bus.value
    return b && b.connected && b.alive ? 'ok' : 'bus'
  })

  // device is what is known of a device; undefined when there is none of that name.
  device (name: string): Signal<Device | undefined> {
    let d = this.#devices.get(name)
    if (!d) this.#devices.set(name, d = signal<Device | undefined>(undefined))
    return d
  }

  // freshness is what a device's values are worth now; nothing is live while the link is not.
  freshness (name: string): ReadonlySignal<Freshness> {
    let f = this.#fresh.get(name)
    if (!f) {
      f = computed(() => {
        const d = this.device(name).value
        if (!d || d.at === 0 || d.status === null) return 'none'
        const by = freshnessOf(this.gatewayNow.value - d.at, d.meta?.period ?? 1, d.state)
        return by === 'live' && this.link.value !== 'ok' ? 'stale' : by
      })
      this.#fresh.set(name, f)
    }
    return f
  }

  // time is the gateway's time now, for what begins on this page. All times that the page shows are the gateway's.
  time (): number { return this.clock.gateway(Date.now()) }

  // said is a time that a device has written, by the gateway's clock: the device's own may be wrong, which its last status shows.
  said (name: string, at: string | undefined): number {
    const d = this.device(name).value
    const status = (Array.isArray(d?.status) ? d.status[0] : d?.status) as { time?: unknown } | null | undefined
    const shift = d && d.at > 0 && typeof status?.time === 'string' ? d.at - Date.parse(status.time) : 0
    return Date.parse(at ?? '') + (Math.abs(shift) > 1000 ? shift : 0)
  }

  // wrong is by how much this machine's clock is wrong, if one has to know; ahead of the gateway's is positive.
  readonly wrong = computed(() => Math.abs(this.skew.value) > WRONG ? this.skew.value : 0)

  // onAck hears each ack once. It returns how to stop, as the next two do.
  onAck (f: (a: AckOf) => void): () => void {
    this.#ackers.add(f)
    return () => { this.#ackers.delete(f) }
  }

  // onOutcome hears what the gateway itself says of a command.
  onOutcome (f: (o: OutcomeOf) => void): () => void {
    this.#tellers.add(f)
    return () => { this.#tellers.delete(f) }
  }

  // onLog hears the lines that a run's program prints.
  onLog (f: (l: Log) => void): () => void {
    this.#logs.add(f)
    return () => { this.#logs.delete(f) }
  }

  // apply takes an event of the stream that came at `client`, ms since 1970. It does not know `bye`.
  apply (kind: string, data: unknown, client: number): void {
    // What comes at last to a page that had no time is as old as it is now, and not as it was when the page last looked.
    this.now.value = Math.max(this.now.value, client)
    switch (kind) {
      case 'hello': return this.#hello(data as Snapshot, client)
      case 'tick': return this.#tick(data as Schemas['tick'], client)
      case 'status': return this.#status(data as Schemas['status'])
      case 'state': return this.#state(data as Schemas['state'])
      case 'meta': { const m = data as Schemas['meta']; return this.#patch(m.device, { meta: m.meta }) }
      case 'locks': { const l = data as Schemas['locks']; return this.#patch(l.device, { locks: l.locks }) }
      case 'report': { const r = data as Schemas['report']; return this.#patch(r.device, { report: r.report }) }
      case 'ack': return this.#acks([data as AckOf])
      case 'outcome': for (const f of this.#tellers) f(data as OutcomeOf); return
      case 'run': this.run.value = data as RunRecord; return
      case 'sensor': return this.#sensor(data as Reading)
      case 'removed': return this.#removed(data as Schemas['removed'])
      case 'log': for (const f of this.#logs) f(data as Log)
    }
  }

  #hello (s: Snapshot, client: number): void {
    this.clock.reset()
    this.#tick(s, client)
    for (const d of s.devices) this.#status({ device: d.name, at: d.at, status: d.status } as Schemas['status'], { ...d, state: this.#since(d.state, this.device(d.name).value?.state, true) })
    const names = s.devices.map(d => d.name)
    for (const gone of this.names.value) if (!names.includes(gone)) this.#gone(gone)
    this.names.value = names
    this.services.value = s.services.map(x => ({ ...x, state: this.#since(x.state, this.#service(x.name), true) }))
    for (const r of s.sensors) if (r.at > 0) this.ring.reading(r.sensor, r.measurement, r.at, r.value)
    this.sensors.value = s.sensors
    this.run.value = s.run
    this.#acks(s.acks)
    this.hellos.value++
  }

  #tick (t: { now: number, bus: Bus }, client: number): void {
    // Ticks of a stream are in order: its clock was set back.
    if (t.now < this.heard.value) this.clock.forget()
    this.clock.sample(client, t.now)
    if (Math.abs(this.clock.offset - this.skew.value) > 1000) this.skew.value = Math.round(this.clock.offset)
    this.heard.value = t.now
    const b = this.bus.value
    if (!b || b.connected !== t.bus.connected || b.alive !== t.bus.alive || b.since !== t.bus.since) this.bus.value = t.bus
  }

  #status (s: Schemas['status'], whole?: Device): void {
    if (s.at > 0) this.ring.add(s.device, s.at, s.status)
    if (whole) this.device(s.device).value = whole
    else this.#patch(s.device, { status: s.status, at: s.at })
  }

  #state (s: Schemas['state']): void {
    if (s.device) this.#patch(s.device, { state: this.#since(s.state, this.device(s.device).value?.state) })
    else if (s.service) this.services.value = named(this.services.value, { name: s.service, state: this.#since(s.state, this.#service(s.service)) })
  }

  #service (name: string): State | null | undefined { return this.services.value.find(x => x.name === name)?.state }

  // since says since when a state is what it is, for a last will, which cannot know: since it was heard, if it was heard on this page.
  #since<S extends State | null> (s: S, before: State | null | undefined, old = false): S {
    if (!s || s.since) return s
    const since = before?.state === s.state && before.boot === s.boot ? before.since : old || this.heard.value === 0 ? undefined : new Date(this.time()).toISOString()
    return since ? { ...s, since } : s
  }

  #patch (name: string, part: Partial<Device>): void {
    const d = this.device(name)
    d.value = { ...(d.value ?? { name, meta: null, state: null, status: null, at: 0, freshness: 'none', locks: {} }), ...part }
    if (!this.names.value.includes(name)) this.names.value = [...this.names.value, name].sort()
  }

  #acks (more: AckOf[]): void {
    const known = new Set(this.acks.value.map(ackKey))
    const fresh = more.filter(a => !known.has(ackKey(a)))
    if (fresh.length === 0) return
    this.acks.value = [...this.acks.value, ...fresh].slice(-ACKS)
    for (const a of fresh) for (const f of this.#ackers) f(a)
  }

  #sensor (r: Reading): void {
    if (r.at > 0) this.ring.reading(r.sensor, r.measurement, r.at, r.value) // else it was retained, and nobody knows of when it is
    const rest = this.sensors.value.filter(s => s.sensor !== r.sensor || s.measurement !== r.measurement)
    this.sensors.value = [...rest, r].sort((a, b) => a.sensor.localeCompare(b.sensor) || a.measurement.localeCompare(b.measurement))
  }

  #gone (device: string): void {
    this.device(device).value = undefined
    this.ring.forget(device)
  }

  #removed (r: Schemas['removed']): void {
    if (r.device) {
      this.#gone(r.device)
      this.names.value = this.names.value.filter(n => n !== r.device)
    }
    if (r.service) this.services.value = this.services.value.filter(s => s.name !== r.service)
  }
}

// named replaces what has the same name, in order of names.
function named (list: Service[], s: Service): Service[] {
  return [...list.filter(x => x.name !== s.name), s].sort((a, b) => a.name.localeCompare(b.name))
}

// ackKey tells two acks apart: no two of a boot have the same time.
function ackKey (a: AckOf): string { return `${a.device} ${a.ack.boot} ${a.ack.time} ${a.ack.id} ${a.ack.phase}` }

export const live = new Store(Date.now())
