import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseTable } from './data/csv'
import { at, colourAt, layout, placeOf, step } from './data/map'
import { erfc, fitted, nameOf, parseSelection, sCurves } from './data/scurve'
import { histogram, niceStep, quantile, robustRange, spread } from './data/stats'

const wide = `chip,channel,threshold,noise,chi2,n_12,n_10,n_11,n_13
0,0,11.5,0.5,1.0,20,100,84,0
0,1,,,,0,0,0,0
1,2,11.0,0.4,1.1,1,99,50,0
`

test('S-curves with a column for each threshold, in the order of thresholds', () => {
  const s = sCurves(parseTable(wide))!
  assert.deepEqual(s.x, [10, 11, 12, 13])
  assert.deepEqual(s.hits[0], [100, 84, 20, 0])
  assert.deepEqual([s.channel, s.chip, s.falling, s.top], [[0, 1, 2], [0, 0, 1], true, 100])
  assert.equal(nameOf(s, 2), 'channel 2 (chip 1)')
  assert.equal(fitted(s, 1, s.x), null) // dead
  const f = fitted(s, 0, [9, 11.5, 14])!
  assert.ok(f[0]! > 99.9 && Math.abs(f[1]! - 50) < 1e-4 && f[2]! < 0.1)
})

test('S-curves with a row for each channel and threshold, one of them missing', () => {
  const rows = ['chip,channel,vcth,hits']
  for (let c = 0; c < 3; c++) for (let v = 0; v < 6; v++) if (c !== 2 || v !== 5) rows.push(`0,${c},${v},${v * 20}`)
  const s = sCurves(parseTable(rows.join('\n')))!
  assert.deepEqual([s.x.length, s.hits.length, s.falling, s.top], [6, 3, false, 100])
  assert.ok(Number.isNaN(s.hits[2]![5]))
  assert.deepEqual([s.threshold, fitted(s, 0, s.x)], [null, null])
})

test('other tables have none', () => {
  for (const text of ['', 'a,b\n1,2\n', 'time,value\n0,1\n1,2\n2,3\n3,4\n', 'channel,threshold,noise\n0,1,2\n1,2,3\n2,1,4\n3,2,4\n4,4,4\n']) assert.equal(sCurves(parseTable(text)), null, text)
})

test('erfc', () => {
  for (const [x, want] of [[0, 1], [1, 0.15729921], [-1, 1.84270079], [3, 2.209e-5]] as const) assert.ok(Math.abs(erfc(x) - want) < 2e-7, String(x))
})

test('a selection of channels', () => {
  const channel = [0, 1, 2, 3, 10, 11]
  assert.deepEqual(parseSelection('1, 10-11;3', channel, 8), { picked: [1, 4, 5, 3], error: '' })
  assert.deepEqual(parseSelection('', channel, 8), { picked: [], error: '' })
  assert.match(parseSelection('x', channel, 8).error, /“x” is no channel/)
  assert.match(parseSelection('3-5', channel, 8).error, /there is no channel 4/)
  assert.match(parseSelection('0-3', channel, 2).error, /at most 2/)
  assert.match(parseSelection('0-99999999', channel, 2).error, /at most 2/)
})

test('numbers of many numbers', () => {
  const s = spread([1, 2, 3, Number.NaN, 4])
  assert.deepEqual([s.count, s.missing, s.min, s.max, s.mean, s.median], [4, 1, 1, 4, 2.5, 2.5])
  assert.ok(Math.abs(s.rms - Math.sqrt(1.25)) < 1e-12)
  assert.equal(quantile([0, 10], 0.25), 2.5)
  assert.deepEqual([0.3, 0.02, 7, 1, 0].map(niceStep), [0.5, 0.02, 10, 1, 1])
})

test('one channel that screams does not set the scale', () => {
  const values = [...Array.from({ length: 100 }, (_, i) => 6 + i / 100), 20.7]
  const [low, high] = robustRange(values)
  assert.deepEqual([low, high], [6, 6.99])
  assert.deepEqual(robustRange([5, 5, 5]), [4.5, 5.5])
  assert.deepEqual(robustRange([]), [0, 1])
})

test('bins of a histogram: each value in one, round widths, far ones counted apart', () => {
  const values = [...Array.from({ length: 1000 }, (_, i) => 6 + (i % 100) / 100), 20.7, Number.NaN]
  const h = histogram(values)
  assert.equal(h.counts.reduce((a, b) => a + b, 0) + h.below + h.above, 1001)
  assert.deepEqual([h.below, h.above], [0, 1])
  assert.equal(niceStep(h.width), h.width)
  assert.ok(h.counts.length <= 80)
  assert.deepEqual(histogram([3, 3, 3]).counts.reduce((a, b) => a + b, 0), 3)
  assert.equal(histogram([]).counts.reduce((a, b) => a + b, 0), 0)
  const edge = histogram([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
  assert.equal(edge.counts.reduce((a, b) => a + b, 0), 10)
})

test('the map: a chip begins a row, and every channel has one place', () => {
  const chip = Array.from({ length: 2032 }, (_, i) => Math.floor(i / 254))
  for (const most of [300, 127, 64, 10]) {
    const l = layout(2032, chip, most)
    assert.ok(l.columns <= most)
    for (let i = 0; i < 2032; i++) {
      const p = placeOf(l, i)!
      assert.equal(at(l, p.row, p.column), i)
      assert.equal(l.rows[p.row]!.chip, chip[i])
    }
  }
  assert.deepEqual([layout(2032, chip, 300).rows.length, layout(2032, chip, 127).rows.length], [8, 16])
  assert.equal(layout(100, null, 90).columns, 64)
  assert.deepEqual(layout(0, null, 10).rows, [])
})

test('keys on the map', () => {
  const l = layout(10, null, 4) // 0-3, 4-7, 8-9
  for (const [from, key, want] of [
    [0, 'ArrowRight', 1], [3, 'ArrowRight', 4], [0, 'ArrowLeft', 0], [1, 'ArrowDown', 5], [7, 'ArrowDown', 9], [9, 'ArrowDown', 9], [5, 'ArrowUp', 1],
    [5, 'Home', 0], [5, 'End', 9], [0, 'PageDown', 8], [5, 'x', null],
  ] as const) assert.equal(step(l, from, key, 10), want, `${from} ${key}`)
})

test('the scale gets lighter from one end to the other', () => {
  const light = (f: number) => { const [r, g, b] = colourAt(f); return 0.2126 * r + 0.7152 * g + 0.0722 * b }
  for (let f = 0; f < 0.99; f += 0.02) assert.ok(light(f + 0.02) > light(f), String(f))
  assert.deepEqual(colourAt(-1), colourAt(0))
})
