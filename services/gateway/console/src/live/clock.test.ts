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

test('freshness: live up to 1.5 periods, stale up to 5', () => {
  for (const [age, period, want] of [[0, 1, 'live'], [1500, 1, 'live'], [1501, 1, 'stale'], [5000, 1, 'stale'], [5001, 1, 'invalid'], [12_000, 10, 'live'], [16_000, 10, 'stale'], [1600, 0, 'stale'], [-300, 1, 'live']] as const) {
    assert.equal(freshnessOf(age, period), want, `${age} ms at ${period} s`)
  }
})
