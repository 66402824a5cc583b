import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Clock, freshnessOf } from './clock'

test('the offset is the smallest difference, since a message may be late and never early', () => {
  const c = new Clock()
  assert.equal(c.offset, 0)
  c.sample(10_500, 10_000)
  c.sample(11_030, 11_000)
  c.sample(12_900, 12_000)
  assert.equal(c.offset, 30)
  assert.equal(c.gateway(13_030), 13_000)
})

test('the offset follows a clock that drifts, within two minutes', () => {
  const c = new Clock()
  for (let t = 0; t <= 300_000; t += 500) c.sample(t + 1000 + t * 0.01 + 1, t)
  assert.ok(c.offset > 2500 && c.offset <= 4001, String(c.offset))
})

test('a clock that is set back is believed at once, and a reset forgets', () => {
  const c = new Clock()
  c.sample(100_000, 50_000)
  c.sample(60_000, 51_000)
  assert.equal(c.offset, 9000)
  c.reset()
  c.sample(200_000, 100_000)
  assert.equal(c.offset, 100_000)
})

test('a stream that is always late is not taken for a clock that is behind', () => {
  const c = new Clock()
  const LATE = 20_000
  for (let t = 0; t <= 600_000; t += 500) {
    if (t % 30_000 === 0) c.trip(t + 700, t + 740, t + 20 + 700) // a round trip of 40 ms
    c.sample(t + LATE, t)
    if (t > 0) assert.ok(c.offset >= 0 && c.offset <= 90, `${c.offset} after ${t} ms`)
  }
})

test('an answer that is late for once changes nothing, and one that went missing neither', () => {
  const c = new Clock()
  for (let t = 0; t <= 400_000; t += 500) c.sample(t + 7, t)
  c.trip(400_000, 409_000, 400_010)
  assert.equal(c.offset, 7)
  c.sample(409_507, 409_500)
  assert.equal(c.offset, 7)
})

test('a clock that is set forward here is known with the next answer', () => {
  const c = new Clock()
  c.sample(10_005, 10_000)
  c.trip(10_010, 10_030, 10_020)
  c.trip(15_040, 15_060, 10_050)
  assert.ok(c.offset >= 4990 && c.offset <= 5010, String(c.offset))
  c.sample(15_100, 15_090) // and it is set back
  assert.equal(c.offset, 10)
})

test('a new connection that is late from its beginning is known by what was asked before', () => {
  const c = new Clock()
  c.trip(1000, 1010, 1005)
  c.reset()
  c.sample(9000, 1500)
  assert.ok(c.offset < 20, String(c.offset))
  c.forget()
  c.sample(9500, 2000)
  assert.equal(c.offset, 7500)
})

// The table of TestFreshness in ../../../live/age_test.go.
test('freshness: the rule of the gateway', () => {
  for (const [age, period, state, want] of [
    [0, 1, null, 'live'], [1500, 1, 'ready', 'live'], [1540, 1, 'ready', 'live'], [1560, 1, 'ready', 'stale'], [5000, 1, 'ready', 'stale'], [5100, 1, 'ready', 'invalid'],
    [80_000, 60, 'ready', 'live'], [91_000, 60, 'ready', 'stale'], [60, 0.01, 'ready', 'live'],
    [0, 1, 'starting', 'live'], [0, 1, 'unreachable', 'stale'], [0, 1, 'stopped', 'stale'], [0, 1, 'lost', 'stale'], [6000, 1, 'lost', 'invalid'],
    // and that of TestPeriod
    [1000, 0, null, 'live'], [1600, 0, null, 'stale'], [1600, -3, null, 'stale'], [1600, 1e300, null, 'stale'], [-300, 1, null, 'live'],
  ] as const) assert.equal(freshnessOf(age, period, state && { state }), want, `${age} ms at ${period} s, ${state}`)
})
