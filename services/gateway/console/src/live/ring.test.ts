import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Device } from '../api/types'
import { KEPT, Ring } from './ring'

const psu = (vmon: number, number = 0) => [{ number, vmon, seq: 1 }] as unknown as Device['status']
const object = (o: Record<string, number>) => o as unknown as Device['status']

test('a status that is said again is there once', () => {
  const r = new Ring()
  for (const at of [1000, 2000, 2000, 3000]) r.add('hv', at, psu(at))
  assert.deepEqual(r.track('hv', 0, 'vmon'), { time: [1000, 2000, 3000], value: [1000, 2000, 3000] })
})

test('a clock that is set back stops nothing: what was later makes room', () => {
  const r = new Ring()
  for (const at of [10_000, 11_000, 600_000, 601_000, 10_500, 12_000]) r.add('hv', at, psu(at))
  assert.deepEqual(r.track('hv', 0, 'vmon').time, [10_000, 10_500, 12_000])
})

test('what is past its time goes, and so does too much of it', () => {
  const r = new Ring()
  for (let i = 0; i < 3000; i++) r.add('hv', i * 1000, psu(i))
  const { time } = r.track('hv', 0, 'vmon')
  assert.ok(time.length >= KEPT / 1000 && time.length < KEPT / 1000 + 600, `${time.length}`)
  assert.ok(time[0]! <= 2_999_000 - KEPT)
  for (let i = 0; i < 100_000; i++) r.reading('fast', 'x', i, i)
  assert.ok(r.readings('fast', 'x').time.length <= 20_000)
  assert.equal(r.readings('fast', 'x').time.at(-1), 99_999)
})

test('ever-new keys take no more room than there is, and what is fed stays', () => {
  const r = new Ring()
  for (let i = 0; i < 5000; i++) r.add('odd', i * 10, object({ steady: i, [`key${i}`]: i }))
  assert.equal(r.size.tracks, 2048)
  assert.equal(r.track('odd', null, 'steady').time.length, 5000)
  assert.deepEqual(r.track('odd', null, 'key0').time, [])
  for (let i = 0; i < 5000; i++) {
    r.reading(`sensor${i}`, 'x', i, i)
    r.reading('steady', 'x', i, i)
  }
  assert.ok(r.size.tracks < 1024, `${r.size.tracks}`)
  assert.equal(r.readings('steady', 'x').time.length, 5000)
})

test('a device that is gone is forgotten, a sensor of its name is another', () => {
  const r = new Ring()
  r.add('hv', 1, object({ t: 1 }))
  r.reading('hv', 't', 1, 2)
  assert.deepEqual(r.track('hv', null, 't').value, [1])
  r.forget('hv')
  assert.deepEqual(r.track('hv', null, 't').value, [])
  assert.deepEqual(r.readings('hv', 't').value, [2])
})
