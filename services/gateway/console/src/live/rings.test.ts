// What the store puts into the ring.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Device, Snapshot } from '../api/types'
import { Store } from './store'

const bus = { connected: true, alive: true, since: '2026-11-20T19:25:49Z' }
const row = (vmon: number) => [{ number: 0, vmon, seq: 1 }]
const device = (name: string, at: number): Device => ({ name, meta: null, state: null, status: row(99), at, freshness: 'live', locks: {} }) as unknown as Device
const hello = (now: number, ...devices: Device[]): Snapshot => ({ now, bus, devices, services: [], sensors: [], run: null, acks: [] })
const times = (s: Store) => s.ring.track('hv', 0, 'vmon').time

test('this machine\'s clock may be set: the ring goes on, and nothing is in it twice', () => {
  const s = new Store(2_000_000)
  s.apply('hello', hello(1_000_000, device('hv', 999_900)), 2_000_000)
  s.apply('tick', { now: 1_000_500, bus }, 100_500) // set back by half an hour
  s.apply('status', { device: 'hv', at: 1_000_900, status: row(1) }, 100_950)
  s.apply('hello', hello(1_001_000, device('hv', 1_000_900)), 2_001_037) // and forth, with another delay
  s.apply('status', { device: 'hv', at: 1_001_900, status: row(2) }, 2_001_950)
  assert.deepEqual(times(s), [999_900, 1_000_900, 1_001_900])
})

test('a device that is gone leaves nothing behind', () => {
  const s = new Store(1_000_000)
  s.apply('hello', hello(1_000_000, device('hv', 999_900)), 1_000_000)
  s.apply('removed', { device: 'hv' }, 1_000_000)
  assert.equal(s.ring.size.tracks, 0)
  s.apply('hello', hello(1_000_000, device('hv', 999_900)), 1_000_000)
  s.apply('hello', hello(1_000_001), 1_000_001)
  assert.equal(s.ring.size.tracks, 0)
})

test('a retained reading, whose time nobody knows, is no point of 1970', () => {
  const s = new Store(1_000_000)
  s.apply('sensor', { sensor: 'arduino', measurement: 'p', value: 1, at: 0 }, 1_000_000)
  assert.deepEqual(s.ring.readings('arduino', 'p').time, [])
  s.apply('sensor', { sensor: 'arduino', measurement: 'p', value: 1, at: 1_000_000 }, 1_000_000)
  assert.deepEqual(s.ring.readings('arduino', 'p').time, [1_000_000])
  const sensors = [{ sensor: 'arduino', measurement: 'p', value: 2, at: 1_000_500 }, { sensor: 'arduino', measurement: 'q', value: 2, at: 0 }]
  s.apply('hello', { ...hello(1_001_000), sensors }, 1_001_000)
  assert.deepEqual(s.ring.readings('arduino', 'p').time, [1_000_000, 1_000_500])
  assert.deepEqual(s.ring.readings('arduino', 'q').time, [])
})
