import assert from 'node:assert/strict'
import { test } from 'node:test'
import { duration, parseNumber, plain, plainUnit, shownText } from './format'

test('values with units', () => {
  for (const [v, unit, max, want] of [
    [4.9e-7, 'A', undefined, '490.0 nA'], [0.0000123, 'A', undefined, '12.30 µA'], [0.00099999, 'A', undefined, '1.000 mA'], [0, 'A', undefined, '0 A'], [-2.5e-9, 'A', undefined, '-2.500 nA'],
    [999.96e-9, 'A', undefined, '1.000 µA'], [1.5, 'A', undefined, '1.500 A'], [1e-14, 'A', undefined, '0 A'],
    [99.984, 'V', 1000, '99.98 V'], [1.2, 'V', 32, '1.200 V'], [-0.001, 'V', 1000, '0.00 V'], [-500, 'V', 1000, '-500.00 V'],
    [21.3, '°C', undefined, '21.30 °C'], [42, '', undefined, '42'], [0.00001, '', undefined, '1.000e-5'], [101325.5, 'Pa', undefined, '101326 Pa'], [NaN, 'A', undefined, '— A'],
  ] as const) assert.equal(shownText(v, unit, max), want, `${v} ${unit}`)
})

test('limits and setpoints are exact', () => {
  assert.equal(plain(0.1 + 0.2), '0.3')
  assert.equal(plain(4.9e-7), '4.9e-7')
  assert.equal(plainUnit(0.008, 'A'), '8 mA')
  assert.equal(plainUnit(1000, 'V'), '1000 V')
  assert.equal(plainUnit(0, 'A'), '0 A')
})

test('what is typed', () => {
  for (const [typed, unit, want] of [['500', 'V', 500], [' 12.5 V ', 'V', 12.5], ['8 mA', 'A', 0.008], ['10u', 'A', 1e-5], ['10µA', 'A', 1e-5], ['4.9e-7', 'A', 4.9e-7], ['.5', 'V', 0.5], ['-100', 'V', -100], ['100.', 'V', 100], ['1e2', 'V', 100]] as const) {
    assert.equal(parseNumber(typed, unit), want, typed)
  }
  for (const typed of ['', ' ', 'abc', '1,5', '1 2', '0x10', 'NaN', 'Infinity', '1e999', '5 A', '--1']) assert.equal(typeof parseNumber(typed, 'V'), 'string', typed)
  assert.match(String(parseNumber('0,5', 'V')), /0\.5 with a point/)
})

test('durations', () => {
  assert.deepEqual([400, 12_000, 180_000, 7_200_000, 200_000_000].map(duration), ['0.4 s', '12 s', '3 min', '2 h', '2 d'])
})
