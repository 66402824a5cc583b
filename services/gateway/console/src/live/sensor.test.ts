import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readingAge, readingFresh } from './sensor'

test('a reading is old past a minute, without a link, and when nobody knows of when it is', () => {
  const now = 1_790_000_000_000
  for (const [at, link, fresh, age] of [
    [now - 5000, 'ok', 'live', '5.0 s'], [now + 300, 'ok', 'live', '0.0 s'], [now - 61_000, 'ok', 'stale', '61 s'],
    [now - 5000, 'gateway', 'stale', '5.0 s'], [now - 5000, 'bus', 'stale', '5.0 s'], [0, 'ok', 'stale', null],
  ] as const) {
    assert.equal(readingFresh({ at }, now, link), fresh)
    assert.equal(readingAge({ at }, now), age)
  }
})
