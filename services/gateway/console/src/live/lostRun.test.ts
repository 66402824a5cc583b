import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Device, RunRecord, Snapshot } from '../api/types'
import { lostRun } from './lostRun'
import { Store } from './store'

const NOW = Date.parse('2026-11-20T12:00:00Z')
const bus = { connected: true, alive: true, since: '2026-11-20T08:00:00Z' }
const state = (is: string, since?: string) => ({ state: is, boot: 'b', error: '', ...(since ? { since } : {}) })
const run = { run: 42, state: 'running', boot: 'b', error: '', device: 'ph2acf', progress: 0.4, time: '2026-11-20T11:59:58Z' } as RunRecord
function begun (control: ReturnType<typeof state> | null = state('ready', '2026-11-20T08:00:00Z'), record: RunRecord = run, client = NOW): Store {
  const s = new Store(client)
  const device = { name: 'ph2acf', meta: null, state: state('ready'), status: null, at: 0, freshness: 'none', locks: {} } as unknown as Device
  s.apply('hello', { now: NOW, bus, devices: [device], services: [{ name: 'runcontrol', state: control }], sensors: [], run: record, acks: [] } satisfies Snapshot, client)
  return s
}
const at = (s: Store) => { const l = lostRun(s); return l && [l.why, new Date(l.since).toISOString().slice(11, 19)] }

test('a run is live while run control and its device are', () => {
  assert.equal(lostRun(begun()), null)
})

test('run control that is not ready says nothing of a run', () => {
  for (const is of ['lost', 'stopped', 'starting', 'unreachable']) {
    assert.deepEqual(at(begun(state(is, '2026-11-20T11:00:00Z'))), [`Run control is ${is}`, '11:00:00'])
  }
  assert.deepEqual(at(begun(null)), ['Run control is not there', '11:59:58'])
  assert.deepEqual(at(begun(state('lost'))), ['Run control is lost', '11:59:58'], 'a last will knows no time: the run\'s last word has one')
})

test('a run whose device is lost was running, and is again when it is back', () => {
  const s = begun()
  for (const is of ['lost', 'stopped']) {
    s.apply('state', { device: 'ph2acf', state: state(is, '2026-11-20T11:59:59Z') }, NOW)
    assert.deepEqual(at(s), [`ph2acf is ${is}`, '11:59:59'])
  }
  s.apply('state', { device: 'ph2acf', state: state('ready') }, NOW)
  assert.equal(lostRun(s), null)
})

test('a last will is of when it was heard', () => {
  const here = Date.now()
  const s = begun(undefined, undefined, here)
  s.apply('state', { service: 'runcontrol', state: state('lost') }, 0)
  const { since } = lostRun(s)!
  assert.ok(Math.abs(since - NOW) < 1000, new Date(since).toISOString())
  s.apply('hello', { now: NOW + 60_000, bus, devices: [], services: [{ name: 'runcontrol', state: state('lost') }], sensors: [], run, acks: [] } satisfies Snapshot, here + 60_000)
  assert.equal(lostRun(s)!.since, since, 'a new connection does not change that')
})

test('nothing is live without the gateway or its bus, and what has ended stays so', () => {
  const s = begun()
  s.apply('tick', { now: NOW + 500, bus: { ...bus, alive: false, since: '2026-11-20T11:59:30Z' } }, NOW + 500)
  assert.deepEqual(at(s), ['The gateway has lost the bus', '11:59:30'])
  s.now.value = NOW + 60_000
  assert.deepEqual(at(s), ['The gateway is lost', '12:00:00'])
  assert.equal(lostRun(begun(state('lost'), { ...run, state: 'finished' } as RunRecord)), null)
})
