import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { History } from '../api/types'
import { align, endOf, fromHistory, gapOf, lastOf, merge, nearest, none, paceOf, statsOf, withGaps, type Points } from './data'

const h = (time: number[], series: History['series'], interval = 0): History => ({ device: 'hv', field: 'vmon', unit: 'V', from: '', to: '', interval, time, series })
const S = 1000
const points = (...tv: Array<[number, number, number?]>): Points => ({ time: tv.map(x => x[0]), min: tv.map(x => x[1]), mean: tv.map(x => x[1]), max: tv.map(x => x[1]), width: tv.map(x => x[2] ?? S) })
const nothing = { time: [], value: [] }

test('a channel\'s points, without the times of others', () => {
  const got = fromHistory(h([1000, 1001, 2000], [{ channel: 0, min: [1, null, 2], mean: [2, null, 3], max: [3, null, 4] }, { channel: 1, min: [null, 5, null], mean: [null, 5, null], max: [null, 5, null] }]), 0, 10, S)
  assert.deepEqual(got, { time: [1010, 2010], min: [1, 2], mean: [2, 3], max: [3, 4], width: [S, S] })
  assert.deepEqual(fromHistory(h([1], [{ channel: 0, min: [1], mean: [1], max: [1] }], 6), 0, 0, S).width, [6 * S])
  assert.deepEqual(fromHistory(undefined, 0, 0, S), none())
  assert.deepEqual(fromHistory(h([1], []), 7, 0, S), none())
})

test('the archive is before the stream and in its holes, and nowhere twice', () => {
  const old = points([1, 10], [2, 20], [3, 30], [4, 40], [5, 50], [6, 60])
  const got = merge(old, { time: [3, 6, 7], value: [31, 61, 71] }, S, 2)
  assert.deepEqual(got.time, [1, 2, 3, 4, 5, 6, 7])
  assert.deepEqual(got.mean, [10, 20, 31, 40, 50, 61, 71])
})

test('up to a time the archive has the word', () => {
  assert.deepEqual(merge(points([1, 1], [5, 5]), { time: [2, 6, 8], value: [2, 6, 8] }, S, 100, 6).time, [1, 5, 8])
  assert.deepEqual(merge(none(), { time: [1], value: [2] }, S, 1).mean, [2])
  assert.deepEqual(merge(points([1, 1]), nothing, S, 1).mean, [1])
})

test('the archive has the word to the end of its last interval, or to when it was asked', () => {
  const answer = (to: string, interval: number) => ({ ...h([], [], interval), to })
  const p = points([0, 1], [60_000, 2])
  assert.equal(endOf(answer('1970-01-01T00:10:00Z', 60), p, 0), 120_000, 'it lags: what follows is the stream\'s')
  assert.equal(endOf(answer('1970-01-01T00:01:10Z', 60), p, 0), 70_000, 'its last interval is not over')
  assert.equal(endOf(answer('1970-01-01T00:01:10Z', 60), p, 5000), 75_000, 'by the gateway\'s clock')
  assert.equal(endOf(answer('1970-01-01T00:01:10Z', 0), p, 0), 60_000)
  assert.equal(endOf(answer('', 0), none(), 0), -Infinity)
})

test('what is far apart is not joined', () => {
  const got = withGaps(points([0, 1], [1000, 2], [9000, 3]), S)
  assert.deepEqual(got.time, [0, 1000, 5000, 9000])
  assert.ok(Number.isNaN(got.mean[2]))
  assert.deepEqual(withGaps(points([0, 1], [1000, 2], [2000, 3]), S, 500, 1500).time, [1000])
})

test('an empty interval of several periods is a gap, one of about a period is not', () => {
  const bins = (n: number, width: number) => withGaps(points([0, 1, width], [n * width, 2, width]), S).time.length
  assert.equal(bins(1, 6 * S), 2)
  assert.equal(bins(2, 6 * S), 3)
  assert.equal(bins(2, 1.2 * S), 2)
  assert.equal(bins(3, 1.2 * S), 3)
  // Behind long intervals the stream's own holes are still seen.
  assert.deepEqual(withGaps(points([0, 1, 72 * S], [72 * S, 2], [73 * S, 2], [80 * S, 3]), S).time, [0, 72 * S, 73 * S, 76.5 * S, 80 * S])
  assert.equal(gapOf(0, S), 2500)
})

test('the usual distance', () => {
  assert.equal(paceOf([0, 300, 600, 5000, 5300]), 300)
  assert.equal(paceOf([1]), 0)
})

test('lines share their times: null is a gap, undefined is drawn over', () => {
  const [time, mean0, , , mean1] = align([withGaps(points([0, 1], [10_000, 2]), S), points([0, 5], [1000, 6])], false)
  assert.deepEqual(time, [0, 1, 5, 10])
  assert.deepEqual(mean0, [1, undefined, null, 2])
  assert.equal(mean1![2], undefined)
})

test('on a logarithmic scale |v| is drawn, and 0 is not', () => {
  const [, mean, min, max] = align([{ width: [1, 1, 1], time: [0, 1, 2], min: [-3e-6, 0, 1], mean: [-2e-6, 0, 2], max: [-1e-6, 0, 3] }], true)
  assert.deepEqual([mean, min, max], [[2e-6, null, 2], [1e-6, null, 1], [3e-6, null, 3]])
})

test('numbers of a line, each for as long as it stood', () => {
  // An hour at 0 as an interval of the archive's, a minute at 60 in sixty points of the stream's.
  const long = points([0, 0, 3600 * S], ...Array.from({ length: 60 }, (_, i) => [(3600 + i) * S, 61] as [number, number]))
  assert.deepEqual(statsOf(withGaps(long, S)), { min: 0, mean: 1, max: 61 })
  // A gap counts for nothing.
  const gap = withGaps(points([0, 1], [1000, 3], [60_000, 5]), S)
  assert.deepEqual(statsOf(gap), { min: 1, mean: 3, max: 5 })
  // What is not seen does not count, and what is half seen counts half.
  assert.deepEqual(statsOf(points([0, 100], [1000, 2], [2000, 4], [4000, 100]), 1000, 3000), { min: 2, mean: 3, max: 4 })
  assert.deepEqual(statsOf(points([0, 0], [1000, 2], [2000, 5]), 1500, 4000), { min: 2, mean: 4, max: 5 })
  assert.equal(statsOf(gap, 10_000, 20_000), null)
  assert.equal(statsOf(none()), null)
  assert.equal(nearest(gap, 900), 3)
  assert.equal(nearest(gap, 30_000), undefined)
})

test('the last value is the newest that was said, not the mean of the last interval', () => {
  const p = withGaps(points([0, 1, 6 * S], [6 * S, 2, 6 * S]), S)
  const stream = { time: [8 * S, 9 * S, 20 * S], value: [7, 8, 9] }
  assert.deepEqual(lastOf(p, stream, 0, 10 * S), { at: 9 * S, value: 8 })
  assert.deepEqual(lastOf(p, nothing, 0, 10 * S), { at: 6 * S, value: 2 })
  assert.deepEqual(lastOf(p, { time: [5 * S], value: [7] }, 0, 10 * S), { at: 6 * S, value: 2 })
  assert.equal(lastOf(p, stream, 10 * S, 15 * S), null)
})
