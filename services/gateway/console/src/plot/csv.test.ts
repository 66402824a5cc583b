import assert from 'node:assert/strict'
import { test } from 'node:test'
import { csv } from './csv'
import { withGaps } from './data'

const t0 = Date.UTC(2026, 10, 20, 19, 25, 49, 920)

test('a row per time, a column per line, three where the archive has joined readings', () => {
  const one = { time: [t0, t0 + 1000], min: [1, 2], mean: [1, 2], max: [1, 2], width: [1000, 1000] }
  const band = { time: [t0 + 1000], min: [1], mean: [2], max: [3.5], width: [1000] }
  assert.equal(csv([{ name: 'hv 0 vmon', unit: 'V', points: one }, { name: 'hv 0 imon', unit: 'A', points: band }]),
    'time,hv 0 vmon [V],hv 0 imon min [A],hv 0 imon mean [A],hv 0 imon max [A]\r\n' +
    '2026-11-20T19:25:49.920Z,1,,,\r\n' +
    '2026-11-20T19:25:50.920Z,2,1,2,3.5\r\n')
})

test('gaps have no row, and names are no formulas', () => {
  const p = withGaps({ time: [t0, t0 + 60_000], min: [1, 2], mean: [1, 2], max: [1, 2], width: [1000, 1000] }, 1000)
  const text = csv([{ name: '=a,"b"', unit: '', points: p }])
  assert.equal(text.split('\r\n').length, 4)
  assert.equal(text.split('\r\n')[0], 'time,"\'=a,""b"""')
})
