import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Ring } from '../live/ring'
import { rampOf } from './rampOf'

test('a ramp begins where the voltage stood before it', () => {
  const ring = new Ring()
  const rows = [{ on: 1, ramping: 0, vreq: 50, vmon: 50 }, { on: 1, ramping: 1, vreq: 100, vmon: 60 }, { on: 1, ramping: 1, vreq: 100, vmon: 75 }].map(r => ({ number: 0, ramp: 10, ...r }))
  rows.forEach((r, i) => ring.add('hv', i * 1000, [r] as never))
  const track = (f: string) => ring.track('hv', 0, f)
  assert.deepEqual(rampOf(rows[2]!, track), { from: 50, to: 100, done: 0.5, left: 2.5 })
  assert.equal(rampOf(rows[0]!, track), null)
})

test('off ramps to zero, and a page that came late begins where it came', () => {
  const ring = new Ring()
  const row = { number: 0, on: 0, ramping: 1, vreq: 100, vmon: 40 }
  ring.add('hv', 1, [row] as never)
  assert.deepEqual(rampOf(row, f => ring.track('hv', 0, f)), { from: 40, to: 0, done: 0, left: null })
})
