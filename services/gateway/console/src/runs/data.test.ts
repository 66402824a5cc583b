import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fieldsOf } from './data/capsule'
import { filePath, resultName } from './data/file'
import { between, bytes, took } from './data/format'
import { add, type Tail } from './data/tail'
import { unitOf } from './data/units'

test('sizes and times', () => {
  assert.deepEqual([0, 999, 5530, 594_058, 20e6, 3.2e9, 5e13].map(bytes), ['0 B', '999 B', '5.53 kB', '594 kB', '20 MB', '3.2 GB', '50000 GB'])
  assert.deepEqual([0.04, 8.064, 8, 59.4, 90, 1800, 3600, 7260, Number.NaN, -1].map(took), ['0.0 s', '8.1 s', '8 s', '59 s', '1 min 30 s', '30 min', '1 h', '2 h 1 min', '–', '–'])
  assert.equal(between('2026-11-21T13:08:16.003Z', '2026-11-21T13:08:24.067Z'), 8.064)
  assert.ok(Number.isNaN(between(undefined, '2026-11-21T13:08:24.067Z')))
})

test('files and their results', () => {
  assert.equal(filePath(3, 'a b/ü#.csv'), '/api/v1/runs/3/files/a%20b/%C3%BC%23.csv')
  for (const [file, name] of [['scurves.csv', 'scurves'], ['out/a.b.json', 'out_a_b'], ['plain', 'plain'], ['x.y/z', 'x_y_z']] as const) assert.equal(resultName(file), name)
})

test('units that a JSON result tells', () => {
  const results = { scurves: { rows: 3 }, summary: { scan: { unit: 'Vcth' }, noise: { mean: 1 } } }
  assert.equal(unitOf(results, 'threshold', 'scan'), 'Vcth')
  assert.equal(unitOf(results, 'noise'), '')
  assert.equal(unitOf(undefined, 'noise'), '')
})

test('fields of a channel: setpoints and readings first, quiet flags not at all', () => {
  const f = (v: number) => ({ first: v, last: v, min: v, max: v, mean: v, count: 1 })
  assert.deepEqual(fieldsOf({ number: 0, at_start: { vreq: 1, ramp: 5, on: 1, seq: 3, ramping: 1 }, fields: { imon: f(1), vmon: f(2), trip: f(0), extra: f(0) } }), ['on', 'vreq', 'vmon', 'imon', 'ramp', 'extra', 'ramping'])
})

test('lines of the log: the last are kept, those of another run begin anew', () => {
  const lines = (n: number) => Array.from({ length: n }, (_, i) => ({ time: '', stream: 'out', text: String(i) }))
  let t: Tail = { run: 0, lines: [], dropped: 0 }
  t = add(t, { run: 1, lines: lines(2), dropped: 5 })
  t = add(t, { run: 1, lines: lines(400) })
  assert.deepEqual([t.run, t.lines.length, t.lines.at(-1)?.text, t.dropped], [1, 300, '399', 5])
  t = add(t, { run: 2, lines: lines(1) })
  assert.deepEqual([t.run, t.lines.length, t.dropped], [2, 1, 0])
})
