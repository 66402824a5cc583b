// The last minutes of what the stream brought, for plots: a column of numbers per channel and field.
import type { Device } from '../api/types'

export const KEPT = 15 * 60_000 // ms
const SLACK = 512 // points past their time that may stay before they are cut off together

export interface Track { time: number[], value: number[] }

const skip = new Set(['number', 'seq'])

export class Ring {
  #tracks = new Map<string, Track>()

  // add takes a status that was measured at `at`, ms since 1970 here.
  add (device: string, at: number, status: Device['status']): void {
    if (Array.isArray(status)) {
      for (const ch of status as Array<Record<string, unknown>>) this.#row(device, String(ch.number), at, ch)
    } else if (status) this.#row(device, '', at, status as Record<string, unknown>)
  }

  // value takes a single number, an outside sensor's.
  value (device: string, channel: number | null, field: string, at: number, v: number): void {
    this.#put(Ring.#key(device, channel === null ? '' : String(channel), field), at, v)
  }

  // track is what there is of a field of a channel, null of a sensor, oldest first.
  track (device: string, channel: number | null, field: string): Track {
    return this.#tracks.get(Ring.#key(device, channel === null ? '' : String(channel), field)) ?? { time: [], value: [] }
  }

  forget (device: string): void {
    for (const key of this.#tracks.keys()) if (key.startsWith(device + '/')) this.#tracks.delete(key)
  }

  #row (device: string, channel: string, at: number, row: Record<string, unknown>): void {
    for (const [field, v] of Object.entries(row)) {
      if (typeof v === 'number' && !skip.has(field)) this.#put(Ring.#key(device, channel, field), at, v)
    }
  }

  #put (key: string, at: number, v: number): void {
    let t = this.#tracks.get(key)
    if (!t) this.#tracks.set(key, t = { time: [], value: [] })
    const last = t.time[t.time.length - 1]
    if (last !== undefined && at <= last) return // said again, after a reconnect
    t.time.push(at)
    t.value.push(v)
    if (t.time.length > SLACK && (t.time[SLACK] ?? at) < at - KEPT) {
      t.time.splice(0, SLACK)
      t.value.splice(0, SLACK)
    }
  }

  static #key (device: string, channel: string, field: string): string { return `${device}/${channel}/${field}` }
}
