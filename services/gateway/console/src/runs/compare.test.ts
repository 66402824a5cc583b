import assert from 'node:assert/strict'
import { test } from 'node:test'
import { byPath, compare } from './data/compare'
import type { Run } from './data/document'
import { flatten, grid, number, sections, show } from './data/values'

const run = (n: number, more: Partial<Run>): Run => ({ run: n, uid: 'u', state: 'finished', procedure: 'calibration', ...more })
const capsule = (vreq: number) => ({ from: '', to: '', missing: 0, dropped: 0, devices: { hv: { statuses: 1, missing: 0, channels: [{ number: 0, at_start: { vreq, vmon: 3 } }] }, dht: { statuses: 1, missing: 0, channels: [{ at_start: { ramp: 1 } }] } } })

test('two runs side by side: settings, then numbers of results', () => {
  const a = run(1, { module: 'M12', parameters: { vcal: 200, fault: 'none' }, capsule: capsule(0), results: { summary: { noise: { mean: 20 }, unit: 'V', zero: 0 } } })
  const b = run(3, { module: 'M12', parameters: { vcal: 200, more: true }, capsule: capsule(300), results: { summary: { noise: { mean: 6 }, unit: 'A', zero: 1 } } })
  const d = compare(a, b)
  assert.deepEqual(d.filter(x => !x.equal).map(x => [x.part, x.path, x.a, x.b, x.delta, x.relative]), [
    ['setting', 'parameters/fault', 'none', undefined, undefined, undefined],
    ['setting', 'parameters/more', undefined, true, undefined, undefined],
    ['setting', 'setpoints/hv/0/vreq', 0, 300, 300, undefined],
    ['result', 'summary/noise/mean', 20, 6, -14, -0.7],
    ['result', 'summary/zero', 0, 1, 1, undefined],
  ])
  assert.deepEqual(d.filter(x => x.equal).map(x => x.path), ['module', 'parameters/vcal', 'procedure'])
  assert.ok(compare(a, a).every(x => x.equal))
})

test('arguments stand for parameters where there are none; configurations by their paths', () => {
  const d = compare(run(1, { arguments: ['--x', '1'] }), run(2, { arguments: ['--x', '2'], configurations: { run: { name: 'hv-300', setpoints: [{ device: 'hv', channel: 0, op: 'setv', value: 300 }] } } }))
  assert.deepEqual(d.filter(x => !x.equal).map(x => x.path), ['arguments', 'configurations/run/name', 'configurations/run/setpoints/0/channel', 'configurations/run/setpoints/0/device', 'configurations/run/setpoints/0/op', 'configurations/run/setpoints/0/value'])
})

test('paths in order of their numbers', () => {
  assert.deepEqual(['a/10', 'a/2', 'a/b', 'a', 'B/1'].sort(byPath), ['B/1', 'a', 'a/2', 'a/10', 'a/b'])
})

test('leaves by path, lists by name', () => {
  assert.deepEqual([...flatten({ a: { b: 1, c: [1, 2] }, d: [{ name: 'x', v: 1 }, { name: 'y', v: null }] })], [['a/b', 1], ['a/c/0', 1], ['a/c/1', 2], ['d/x/name', 'x'], ['d/x/v', 1], ['d/y/name', 'y'], ['d/y/v', null]])
})

test('a JSON result in parts', () => {
  assert.deepEqual(sections({ run: 3, dead: [], noisy: [1, 2], hv: { start: 300 }, chips: [{ chip: 0, t: { mean: 1 } }, { chip: 1 }] }), [
    { name: '', facts: [['run', 3], ['dead', 'none'], ['noisy', '1, 2']], grid: null },
    { name: 'hv', facts: [['start', 300]], grid: null },
    { name: 'chips', facts: [], grid: { heads: ['chip', 't/mean'], rows: [[0, 1], [1, undefined]] } },
  ])
  assert.deepEqual(sections([1, 2])[0]?.facts, [['0', 1], ['1', 2]])
  assert.deepEqual(sections('text')[0]?.facts, [['', 'text']])
  assert.equal(grid([1]), null)
})

test('values for people', () => {
  assert.deepEqual([603.9888872476607, 2453120839807003, 0.00010875984, 1e-300, Number.NaN].map(x => number(x)), ['603.989', '2453120839807003', '0.00010876', '1e-300', '–'])
  assert.deepEqual([null, undefined, true, 'x', [1, 'a'], { a: 1 }].map(show), ['–', '–', 'yes', 'x', '1, a', '{"a":1}'])
})
