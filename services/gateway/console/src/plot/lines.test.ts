import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Device, History } from '../api/types'
import { Ring } from '../live/ring'
import { csv } from './csv'
import { linesOf, type View } from './lines'
import type { PlotWhat } from './PlotPanel'

const now = Date.UTC(2026, 10, 20, 19)
const MIN = 60_000
const what: PlotWhat = { device: 'hv', sensor: false, period: 1, fields: [{ name: 'vmon', unit: 'V' }], channels: [{ number: 0, label: 'Channel 0' }], chosen: ['vmon'] }
const view = (span: number): View => ({ fields: ['vmon'], channels: [0], from: now - span, to: now, live: span <= 15 * MIN, dark: false })
const answer = (time: number[], mean: number[], interval: number, to: number, channel: number | null = 0): History =>
  ({ device: 'hv', field: 'vmon', unit: 'V', from: '', to: new Date(to).toISOString(), interval, time, series: [{ channel, min: mean, mean, max: mean }] })
const got = (h: History | undefined, shift = 0) => ({ byField: new Map(h ? [['vmon', h]] : []), shift, error: '', busy: false })
function streamed (from: number, to: number, v: number): Ring {
  const r = new Ring()
  for (let t = from; t <= to; t += 1000) r.add('hv', t, [{ number: 0, vmon: v }] as unknown as Device['status'])
  return r
}

test('over a month the last value is the stream\'s, though the archive\'s last interval is not over', () => {
  const interval = 72 * MIN
  const begun = now - 30 * MIN // of the last interval
  const time = Array.from({ length: 600 }, (_, i) => begun - (599 - i) * interval)
  const h = answer(time, time.map(() => 10), interval / 1000, now - 2 * MIN)
  const [line] = linesOf(what, view(30 * 1440 * MIN), got(h), streamed(now - 10 * MIN, now, 500))
  assert.deepEqual(line!.last, { at: now, value: 500 })
  assert.equal(line!.points.time.filter(t => t > now - 2 * MIN).length, 120, 'the stream goes on from when the archive was asked')
  assert.equal(line!.points.mean.at(-1), 500)
})

test('a device whose clock is an hour behind: archive and stream are in one place, by the gateway\'s time', () => {
  const hour = 60 * MIN
  const time = Array.from({ length: 60 }, (_, i) => now - 2 * MIN - hour + i * 1000)
  const [line] = linesOf(what, view(15 * MIN), got(answer(time, time.map(() => 1), 0, now - hour), hour), streamed(now - MIN, now, 2))
  const { points } = line!
  assert.equal(points.time[0], now - 2 * MIN)
  assert.equal(points.time.length, 121)
  assert.ok(points.mean.every(v => Number.isFinite(v)), 'no gap')
  const rows = csv([{ name: 'hv 0 vmon', unit: 'V', points }]).split('\r\n')
  assert.equal(rows[1], '2026-11-20T18:58:00.000Z,1')
  assert.equal(rows.at(-2), '2026-11-20T19:00:00.000Z,2')
})

test('an outside sensor that measures every five minutes has a line', () => {
  const sensor: PlotWhat = { device: 'arduino', sensor: true, period: 30, fields: [{ name: 'vmon', unit: '' }], channels: [], chosen: ['vmon'] }
  const time = Array.from({ length: 12 }, (_, i) => now - (60 - 5 * i) * MIN)
  const ring = new Ring()
  ring.reading('arduino', 'vmon', now - 1000, 3)
  ring.add('arduino', now, { vmon: 99 } as never)
  const [line] = linesOf(sensor, view(60 * MIN), got(answer(time, time.map(() => 1), 0, now, null)), ring)
  assert.equal(line!.points.time.length, 13)
  assert.ok(line!.points.mean.every(v => Number.isFinite(v)), 'no gap')
  assert.deepEqual(line!.last, { at: now - 1000, value: 3 })
})
