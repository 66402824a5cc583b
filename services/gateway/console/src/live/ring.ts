// The last minutes of what the stream brought, for plots: a column of numbers per channel and field.
// Times are the gateway's, ms since 1970: this machine's clock may be set at any moment.
import type { Device } from '../api/types'

export const KEPT = 15 * 60_000 // ms
const SLACK = 512 // points past their time that may stay before they are cut off together
const MOST_POINTS = 20_000 // of a track, whatever its pace
const MOST_TRACKS = 2048 // of a device: 64 channels with 32 fields
const MOST_OWNERS = 512 // devices and outside sensors

export interface Track { time: number[], value: number[] }

const skip = new Set(['number', 'seq'])

export class Ring {
  #owners = new Map<string, Map<string, Track>>() // that which was fed last is last, of both

  // add takes a status that was measured at `at`.
  add (device: string, at: number, status: Device['status']): void {
    if (Array.isArray(status)) {
      for (const ch of status as Array<Record<string, unknown>>) this.#row(device, String(ch.number), at, ch)
    } else if (status) this.#row(device, '', at, status as Record<string, unknown>)
  }

  // reading takes an outside sensor's value. Such a sensor may have a device's name.
  reading (sensor: string, measurement: string, at: number, v: number): void {
    this.#put(outside(sensor), `/${measurement}`, at, v)
  }

  // track is what there is of a field of a channel, null of what has none, the oldest first.
  track (device: string, channel: number | null, field: string): Track {
    return this.#owners.get(device)?.get(`${channel ?? ''}/${field}`) ?? { time: [], value: [] }
  }

  // readings are what there is of an outside sensor's measurement.
  readings (sensor: string, measurement: string): Track { return this.track(outside(sensor), null, measurement) }

  // forget lets go of a device.
  forget (device: string): void { this.#owners.delete(device) }

  // size is how many tracks and points are held.
  get size (): { tracks: number, points: number } {
    const tracks = [...this.#owners.values()].flatMap(o => [...o.values()])
    return { tracks: tracks.length, points: tracks.reduce((n, t) => n + t.time.length, 0) }
  }

  #row (device: string, channel: string, at: number, row: Record<string, unknown>): void {
    for (const [field, v] of Object.entries(row)) {
      if (typeof v === 'number' && !skip.has(field)) this.#put(device, `${channel}/${field}`, at, v)
    }
  }

  #put (owner: string, key: string, at: number, v: number): void {
    const tracks = renewed(this.#owners, owner, MOST_OWNERS, () => new Map<string, Track>())
    const t = renewed(tracks, key, MOST_TRACKS, () => ({ time: [], value: [] }))
    const last = t.time.at(-1)
    if (last === at) return // said again, after a reconnect
    // The gateway's clock was set back: what it took for later than now makes room.
    if (last !== undefined && at < last) cut(t, t.time.findIndex(x => x >= at), Infinity)
    t.time.push(at)
    t.value.push(v)
    if (t.time.length > MOST_POINTS || (t.time.length > SLACK && t.time[SLACK]! < at - KEPT)) cut(t, 0, SLACK)
  }
}

const outside = (sensor: string): string => `#${sensor}` // no device's name begins so

function cut (t: Track, from: number, n: number): void {
  t.time.splice(from, n)
  t.value.splice(from, n)
}

// renewed is the entry of a key, which is last then. For a new one that has waited longest goes, if there are too many.
function renewed<T> (map: Map<string, T>, key: string, most: number, make: () => T): T {
  const entry = map.get(key) ?? make()
  map.delete(key)
  if (map.size >= most) map.delete(map.keys().next().value!)
  map.set(key, entry)
  return entry
}
