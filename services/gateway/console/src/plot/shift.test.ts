import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Device } from '../api/types'
import { shiftOf } from './shift'

const t0 = Date.UTC(2026, 10, 20, 19, 25, 49)
const of = (at: number, ...times: number[]) => ({ at, status: times.map((t, number) => ({ number, time: new Date(t).toISOString() })) }) as unknown as Pick<Device, 'at' | 'status'>

test('a clock that agrees is not shifted by', () => {
  for (const off of [0, 3, -900, 1000]) assert.equal(shiftOf(of(t0 + off, t0)), 0)
  assert.equal(shiftOf(undefined), 0)
  assert.equal(shiftOf(of(0, t0)), 0)
  assert.equal(shiftOf({ at: t0, status: { x: 1 } as never }), 0)
  assert.equal(shiftOf({ at: t0, status: null }), 0)
})

test('one that does not is, by one number while that is right to a second', () => {
  const hour = 3_600_000
  assert.equal(shiftOf(of(t0 + hour, t0)), hour)
  assert.equal(shiftOf(of(t0 + hour + 900, t0), hour), hour)
  assert.equal(shiftOf(of(t0 + hour + 1100, t0), hour), hour + 1100)
  assert.equal(shiftOf(of(t0 - hour, t0)), -hour)
  assert.equal(shiftOf(of(t0 + 5, t0), hour), 0, 'it was set right')
  assert.equal(shiftOf(undefined, hour), hour, 'nothing new is known')
  assert.equal(shiftOf(of(t0, t0 - 3000, t0 - 1500, t0)), 0, 'channels are read one after the other')
  assert.equal(shiftOf({ at: t0 + hour, status: { t: 1, time: new Date(t0).toISOString() } as never }), hour)
})
