import assert from 'node:assert/strict'
import { test } from 'node:test'
import { spanOf } from './range'
import { askedFor } from './useHistory'

const span = (q: string) => spanOf(new URLSearchParams(q))

test('a link says which time is looked at', () => {
  const want = { from: Date.UTC(2026, 10, 20, 19), to: Date.UTC(2026, 10, 20, 19, 30) }
  assert.deepEqual(span('from=2026-11-20T19:00:00Z&to=2026-11-20T19:30:00.000000Z'), want)
  assert.deepEqual(span(`from=${encodeURIComponent('2026-11-20T20:00:00+01:00')}&to=2026-11-20T19:30:00Z`), want)
})

test('what is no span is as if there were none', () => {
  for (const q of ['', 'from=2026-11-20T19:00:00Z', 'from=2026-11-20T19:00:00Z&to=', 'from=-15m&to=2026-11-20T19:00:00Z', 'from=2026-11-20T19:00:00Z&to=2026-11-20T19:00:01Z',
    'from=2026-11-20T19:00:00Z&to=2026-11-20T18:00:00Z', 'from=1&to=2000000', 'from=1900-01-01T00:00:00Z&to=2026-11-20T19:00:00Z', 'from=2026-13-20T19:00:00Z&to=2026-11-20T19:00:00Z']) assert.equal(span(q), null, q)
})

test('the archive is asked by the clock that it has', () => {
  const now = Date.UTC(2026, 10, 20, 19)
  const zoom = { from: now - 60_000, to: now }
  assert.deepEqual(askedFor({ span: 900_000, zoom: null, shift: 0 }, now), { from: '-15m' })
  assert.deepEqual(askedFor({ span: 900_000, zoom, shift: 0 }, now), { from: '2026-11-20T18:59:00.000Z', to: '2026-11-20T19:00:00.000Z' })
  assert.deepEqual(askedFor({ span: 900_000, zoom, shift: 3_600_000 }, now), { from: '2026-11-20T17:59:00.000Z', to: '2026-11-20T18:00:00.000Z' })
  assert.deepEqual(askedFor({ span: 900_000, zoom: null, shift: -3_600_000 }, now), { from: '2026-11-20T19:45:00.000Z', to: '2026-11-20T20:00:00.000Z' })
})
