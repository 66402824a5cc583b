import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { History } from '../api/types'
import { align, fromHistory, gapOf, merge, nearest, none, statsOf, withGaps } from './data'

const h = (time: number[], series: History['series'], interval = 0): History => ({ device: 'hv', field: 'vmon', unit: 'V', from: '', to: '', interval, time, series })
const points = (...tv: Array<[number, number]>) => ({ time: tv.map(x => x[0]), min: tv.map(x => x[1]), mean: tv.map(x => x[1]), max: tv.map(x => x[1]) })

test('a channel\'s points, without the times of others', () => {
  const got = fromHistory(h([1000, 1001, 2000], [{ channel: 0, min: [1, null, 2], mean: [2, null, 3], max: [3, null, 4] }, { channel: 1, min: [null, 5, null], mean: [null, 5, null], max: [null, 5, null] }]), 0, 10)
  assert.deepEqual(got, { time: [1010, 2010], min: [1, 2], mean: [2, 3], max: [3, 4] })
  assert.deepEqual(fromHistory(undefined, 0), none())
  assert.deepEqual(fromHistory(h([1], []), 7), none())
})

test('the archive is before the stream and in its holes, and nowhere twice', () => {
  const old = points([1, 10], [2, 20], [3, 30], [4, 40], [5, 50], [6, 60])
  const got = merge(old, { time: [3, 6, 7], value: [31, 61, 71] }, 2)
  assert.deepEqual(got.time, [1, 2, 3, 4, 5, 6, 7])
  assert.deepEqual(got.mean, [10, 20, 31, 40, 50, 61, 71])
})

test('up to a time the archive has the word', () => {
  assert.deepEqual(merge(points([1, 1], [5, 5]), { time: [2, 6, 8], value: [2, 6, 8] }, 100, 6).time, [1, 5, 8])
  assert.deepEqual(merge(none(), { time: [1], value: [2] }, 1).mean, [2])
  assert.deepEqual(merge(points([1, 1]), { time: [], value: [] }, 1).mean, [1])
})

test('what is far apart is not joined', () => {
  const got = withGaps(points([0, 1], [1000, 2], [9000, 3]), gapOf(0, 1))
  assert.deepEqual(got.time, [0, 1000, 5000, 9000])
  assert.ok(Number.isNaN(got.mean[2]))
  assert.deepEqual(withGaps(points([0, 1], [1000, 2], [2000, 3]), 5000, 500, 1500).time, [1000])
})

test('lines share their times: null is a gap, undefined is drawn over', () => {
  const [time, mean0, , , mean1] = align([withGaps(points([0, 1], [10_000, 2]), 2500), points([0, 5], [1000, 6])], false)
  assert.deepEqual(time, [0, 1, 5, 10])
  assert.deepEqual(mean0, [1, undefined, null, 2])
  assert.equal(mean1![2], undefined)
})

test('on a logarithmic scale |v| is drawn, and 0 is not', () => {
  const [, mean, min, max] = align([{ time: [0, 1, 2], min: [-3e-6, 0, 1], mean: [-2e-6, 0, 2], max: [-1e-6, 0, 3] }], true)
  assert.deepEqual([mean, min, max], [[2e-6, null, 2], [1e-6, null, 1], [3e-6, null, 3]])
})

test('numbers of a line', () => {
  const p = withGaps(points([0, 1], [1000, 3], [60_000, 5]), 2500)
  assert.deepEqual(statsOf(p), { last: 5, at: 60_000, min: 1, mean: 3, max: 5 })
  assert.equal(statsOf(none()), null)
  assert.equal(nearest(p, 900), 3)
  assert.equal(nearest(p, 30_000), undefined)
})
