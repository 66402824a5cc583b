import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Meta } from '../api/types'
import { channelsOf, limitsOf, limitsText, outside } from './limits'

const meta = {
  kind: 'psu', model: '', driver: '', period: 1, fields: {},
  channels: [{ number: 0, label: 'A', min: 0, max: 500 }, { number: 1 }],
  commands: { setv: { unit: 'V', min: 0, max: 1000 }, seti: { unit: 'A', min: 0, max: 0.008 }, ramp: { unit: 'V/s' } },
} as unknown as Meta

test('a channel\'s own limits win, for the voltage', () => {
  assert.deepEqual(limitsOf(meta, 'setv', 0), { min: 0, max: 500, unit: 'V' })
  assert.deepEqual(limitsOf(meta, 'setv', 1), { min: 0, max: 1000, unit: 'V' })
  assert.deepEqual(limitsOf(meta, 'seti', 0), { min: 0, max: 0.008, unit: 'A' })
  assert.deepEqual(limitsOf(null, 'setv', 0), { min: undefined, max: undefined, unit: 'V' })
})

test('limits in words', () => {
  assert.equal(limitsText({ min: 0, max: 500, unit: 'V' }), '0 to 500 V')
  assert.equal(limitsText({ min: -1000, max: 0, unit: 'V' }), '-1000 to 0 V')
  assert.equal(limitsText({ min: 0, max: 0.008, unit: 'A' }), '0 A to 8 mA')
  assert.equal(limitsText({ max: 200, unit: 'V/s' }), 'at most 200 V/s')
  assert.equal(limitsText({ unit: 'V' }), 'no limits known')
})

test('what lies outside is said and not changed', () => {
  assert.match(outside(600, { min: 0, max: 500, unit: 'V' }), /600 V is above the limit of 500 V/)
  assert.match(outside(-1, { min: 0, max: 500, unit: 'V' }), /below the limit of 0 V/)
  assert.equal(outside(500, { min: 0, max: 500, unit: 'V' }), '')
  assert.equal(outside(1e9, { unit: 'V' }), '')
})

test('a padded channel is left out', () => {
  const padded = [{ number: 7, on: 0, vreq: 0 }, { number: 1, on: 1, vreq: 2, seq: 3 }]
  assert.deepEqual(channelsOf(padded, meta).map(c => c.number), [1])
  assert.deepEqual(channelsOf(null, meta).map(c => c.number), [0, 1])
})
