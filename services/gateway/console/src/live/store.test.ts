import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Device, Snapshot } from '../api/types'
import { Store } from './store'

const bus = { connected: true, alive: true, since: '2026-11-20T19:25:49Z' }
const meta = { kind: 'psu', model: 'x', driver: 'psu', period: 1, fields: {}, commands: {} }
const row = (vmon: number) => [{ number: 0, on: 1, vreq: 100, vmon, seq: 1 }]
const device = (name: string, at: number): Device => ({ name, meta, state: { state: 'ready', boot: 'b', error: '' }, status: row(99), at, freshness: 'live', locks: {} }) as unknown as Device
const hello = (now: number, ...devices: Device[]): Snapshot => ({ now, bus, devices, services: [{ name: 'loader', state: null }], sensors: [], run: null, acks: [] })

// The gateway's clock is 500 s behind this one.
const AHEAD = 500_000
function begun (): Store {
  const s = new Store(1_000_000 + AHEAD)
  s.apply('hello', hello(1_000_000, device('hv', 999_900)), 1_000_000 + AHEAD)
  return s
}
const after = (s: Store, ms: number) => { s.now.value = 1_000_000 + AHEAD + ms }

test('nothing is known before hello', () => {
  const s = new Store(0)
  assert.equal(s.link.value, 'connecting')
  assert.equal(s.freshness('hv').value, 'none')
})

test('hello brings all, by the gateway\'s clock', () => {
  const s = begun()
  assert.deepEqual(s.names.value, ['hv'])
  assert.equal(s.link.value, 'ok')
  assert.equal(s.freshness('hv').value, 'live')
  assert.deepEqual(s.ring.track('hv', 0, 'vmon'), { time: [999_900], value: [99] }, 'the ring is in the gateway\'s time')
})

test('values age though nothing comes: stale past 1.5 periods, invalid past 5', () => {
  const s = begun()
  for (const [ms, want] of [[1450, 'live'], [1451, 'stale'], [4950, 'stale'], [4951, 'invalid']] as const) {
    after(s, ms)
    assert.equal(s.freshness('hv').value, want, `after ${ms} ms`)
  }
})

test('what comes late to a page that had no time to look is as old as it is', () => {
  const s = begun()
  s.apply('status', { device: 'hv', at: 1_000_100, status: row(98) }, 1_000_000 + AHEAD + 1900)
  assert.equal(s.freshness('hv').value, 'stale')
})

test('without ticks the gateway is lost after two seconds, and nothing is live', () => {
  const s = begun()
  s.device('hv').value = { ...s.device('hv').value!, meta: { ...meta, period: 60 } as Device['meta'] }
  after(s, 2000)
  assert.equal(s.link.value, 'ok')
  after(s, 2001)
  assert.equal(s.link.value, 'gateway')
  assert.equal(s.freshness('hv').value, 'stale')
})

test('ticks that were held up do not make the link look alive', () => {
  const s = begun()
  after(s, 30_000) // the machine slept
  s.apply('tick', { now: 1_000_500, bus }, 1_000_000 + AHEAD + 30_000)
  assert.equal(s.link.value, 'gateway')
  s.apply('hello', hello(1_030_100, device('hv', 1_030_000)), 1_000_000 + AHEAD + 30_100)
  assert.equal(s.link.value, 'ok')
  assert.equal(s.freshness('hv').value, 'live')
})

test('a bus that the gateway has lost makes all stale', () => {
  for (const b of [{ ...bus, connected: false }, { ...bus, alive: false }]) {
    const s = begun()
    s.apply('tick', { now: 1_000_100, bus: b }, 1_000_100 + AHEAD)
    assert.equal(s.link.value, 'bus')
    assert.equal(s.freshness('hv').value, 'stale')
    s.apply('tick', { now: 1_000_600, bus }, 1_000_600 + AHEAD)
    assert.equal(s.link.value, 'ok')
  }
})

test('events change what they are about', () => {
  const s = begun()
  s.apply('status', { device: 'hv', at: 1_000_900, status: row(101) }, 1_000_950 + AHEAD)
  assert.deepEqual(s.device('hv').value?.status, row(101))
  s.apply('state', { device: 'hv', state: { state: 'lost', boot: 'b', error: '' } }, 0)
  assert.equal(s.device('hv').value?.state?.state, 'lost')
  s.apply('state', { service: 'loader', state: { state: 'ready', boot: 'b', error: '' } }, 0)
  assert.equal(s.services.value[0]?.state?.state, 'ready')
  s.apply('locks', { device: 'hv', locks: { 0: { user: 'erika', reason: 'r', time: '' } } }, 0)
  assert.equal(s.device('hv').value?.locks['0']?.user, 'erika')
  s.apply('status', { device: 'a_new_one', at: 1_000_900, status: { x: 1 } }, 0)
  assert.deepEqual(s.names.value, ['a_new_one', 'hv'])
  s.apply('sensor', { sensor: 'arduino', measurement: 'p', value: 1, at: 1_000_000 }, 0)
  s.apply('sensor', { sensor: 'arduino', measurement: 'p', value: 2, at: 1_001_000 }, 0)
  assert.deepEqual(s.sensors.value.map(r => r.value), [2])
  s.apply('removed', { device: 'hv' }, 0)
  assert.deepEqual(s.names.value, ['a_new_one'])
  assert.equal(s.device('hv').value, undefined)
  s.apply('something new', {}, 0)
})

test('an ack is listed once, though a new hello says it again', () => {
  const s = begun()
  const ack = { device: 'hv', at: 1, ack: { time: 't1', boot: 'b', id: '1', op: 'setv', phase: 'accepted', code: 'OK' } }
  s.apply('ack', ack, 0)
  s.apply('hello', { ...hello(1_001_000), acks: [ack, { ...ack, ack: { ...ack.ack, time: 't2', phase: 'done' } }] }, 1_001_000 + AHEAD)
  assert.deepEqual(s.acks.value.map(a => a.ack.phase), ['accepted', 'done'])
  assert.deepEqual(s.names.value, [], 'what the new hello does not know is gone')
})

test('logs go to who listens', () => {
  const s = begun()
  const heard: unknown[] = []
  const stop = s.onLog(l => heard.push(l.device))
  s.apply('log', { device: 'ph2acf', log: { lines: [] } }, 0)
  stop()
  s.apply('log', { device: 'ph2acf', log: { lines: [] } }, 0)
  assert.deepEqual(heard, ['ph2acf'])
})

test('a device that does not read its instrument has no live values, however young they are', () => {
  for (const is of ['unreachable', 'stopped', 'lost']) {
    const s = begun()
    s.apply('state', { device: 'hv', state: { state: is, boot: 'b', error: '' } }, 0)
    assert.equal(s.freshness('hv').value, 'stale', is)
    after(s, 6000)
    s.apply('tick', { now: 1_006_000, bus }, 1_006_000 + AHEAD)
    assert.equal(s.freshness('hv').value, 'invalid', is)
  }
})

test('the gateway\'s clock is set back: the page takes its word, and no banner comes', () => {
  const s = begun()
  s.apply('tick', { now: 1_000_500, bus }, 1_000_500 + AHEAD)
  const BACK = 600_000
  for (let t = 1000; t <= 200_000; t += 500) {
    s.apply('tick', { now: 1_000_000 + t - BACK, bus }, 1_000_000 + t + AHEAD)
    assert.equal(s.link.value, 'ok', `after ${t} ms`)
  }
})

test('acks and outcomes are heard once each, whatever time they are of', () => {
  const s = begun()
  const heard: string[] = []
  const stopAcks = s.onAck(a => heard.push(a.ack.phase))
  const stop = s.onOutcome(o => heard.push(`${o.device} ${o.phase}`))
  const ack = (phase: string, time: string, at: number) => ({ device: 'hv', at, ack: { time, boot: 'b', id: '1', op: 'setv', phase, code: 'OK' } })
  s.apply('ack', ack('accepted', 't1', 1_000_000), 0)
  s.apply('ack', ack('done', 't2', 400_000), 0) // the gateway's clock was set back
  s.apply('hello', { ...hello(1_001_000), acks: [ack('accepted', 't1', 1_000_000), ack('done', 't2', 400_000)] }, 1_001_000 + AHEAD)
  s.apply('outcome', { device: 'hv', id: '1', phase: 'unanswered' }, 0)
  stopAcks()
  stop()
  s.apply('ack', ack('failed', 't3', 2_000_000), 0)
  s.apply('outcome', { device: 'hv', id: '1', phase: 'unanswered' }, 0)
  assert.deepEqual(heard, ['accepted', 'done', 'hv unanswered'])
})

test('a clock here that is wrong is told above 5 s, and not for each millisecond', () => {
  for (const [ahead, want] of [[0, 0], [4900, 0], [-4900, 0], [5100, 5100], [-60_000, -60_000]] as const) {
    const s = new Store(1_000_000 + ahead)
    s.apply('hello', hello(1_000_000), 1_000_000 + ahead)
    assert.equal(s.wrong.value, want)
    s.apply('tick', { now: 1_000_500, bus }, 1_000_500 + ahead - 300)
    assert.equal(s.wrong.value, want)
  }
})

test('what a device has written is shown by the gateway\'s clock', () => {
  const s = begun()
  const time = (at: number) => new Date(at).toISOString()
  const status = (at: number, time: string) => s.apply('status', { device: 'hv', at, status: [{ number: 0, time }] }, 0)
  assert.equal(s.said('hv', time(5000)), 5000, 'a status without a time')
  status(1_000_500, time(1_000_450))
  assert.equal(s.said('hv', time(5000)), 5000)
  status(1_001_500, time(1_001_500 - 3_600_000)) // an hour behind
  assert.equal(s.said('hv', time(5000)), 3_605_000)
  assert.equal(s.said('nobody', time(5000)), 5000)
  assert.ok(Number.isNaN(s.said('hv', undefined)))
})
