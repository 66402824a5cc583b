import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Device } from '../api/types'
import { blamed, initial, parametersOf, read, readAll, startables, wants, type Parameter } from './data/params'
import { toJS } from './data/re2'
import { steps, tone, underWay } from './data/states'

test('RE2 in JavaScript: the whole of the string', () => {
  const table: [string, string[], string[]][] = [
    ['[A-Z][A-Z0-9_]{0,31}', ['M12', 'A'], ['m12', 'M12;ls', '', 'M 1', '1M']],
    ['(?i)m\\d+', ['M1', 'm12'], ['x1']],
    ['a|bc', ['a', 'bc'], ['abc', 'ac']],
    ['\\Aab\\z', ['ab'], ['abc']],
    ['(?P<name>x)y', ['xy'], ['x']],
    ['[[:upper:]][[:digit:]_]*', ['A_1'], ['a1']],
    ['[]a]+', [']a'], ['b']],
    ['[^]a]', ['b'], [']', 'a']],
    ['[a-]', ['a', '-'], ['b']],
    ['\\Qa.b*\\E+', ['a.b*', 'a.b**'], ['aXb*']],
    ['\\pL+', ['Äß'], ['1']],
    ['\\p{Greek}', ['Ω'], ['O']],
    ['\\P{Lu}', ['a'], ['A']],
    ['a{', ['a{'], ['a']],
    ['x\\-y\\_z', ['x-y_z'], ['xyz']],
    ['[\\s\\d]+', ['1 2'], ['\u00a0']],
    ['\\x41\\x{1F600}', ['A😀'], ['A']],
    ['.', ['x', '\r'], ['\n', 'xy']],
    ['(?:ab){2}', ['abab'], ['ab']],
    ['[0-9]+(?:\\.[0-9]+)?', ['1', '1.5'], ['1.', '.5']],
    ['', [''], ['a']],
    ['/tmp/[a-z]+', ['/tmp/a'], ['/tmp/']],
  ]
  for (const [pattern, good, bad] of table) {
    const re = toJS(pattern)
    assert.ok(re, pattern)
    for (const s of good) assert.ok(re.test(s), `${pattern} fits ${s}`)
    for (const s of bad) assert.ok(!re.test(s), `${pattern} does not fit ${s}`)
  }
})

test('what JavaScript cannot do, or not in good time, is left to the driver', () => {
  for (const p of ['(a+)+b', '(a|a)*b', '((a*)b)*', '(?U)a', 'a(?i)b', '(?i:a)', '\\C', '[', '(', ')', 'a**', '*', '(?=a)', '\\1', '[[:nope:]]', '[^\\S]', '\\p{Nope}', '(?<!a)b']) assert.equal(toJS(p), null, p)
})

const q = (p: Partial<Parameter> & Pick<Parameter, 'type'>): Parameter => p

test('fields', () => {
  const table: [Parameter, string, unknown, RegExp | ''][] = [
    [q({ type: 'int', min: 0, max: 255 }), '200', 200, ''],
    [q({ type: 'int', min: 0, max: 255 }), '256', undefined, /256 is above the maximum, 255/],
    [q({ type: 'int', min: 0, unit: 'V' }), '-1', undefined, /below the minimum, 0 V/],
    [q({ type: 'int' }), '1.5', undefined, /no whole number/],
    [q({ type: 'int' }), '1e2', 100, ''],
    [q({ type: 'int' }), '9007199254740993', undefined, /no whole number/],
    [q({ type: 'float' }), ' 0.5 ', 0.5, ''],
    [q({ type: 'float' }), '0,5', undefined, /write a point instead of the comma/],
    [q({ type: 'float' }), 'NaN', undefined, /no number/],
    [q({ type: 'float' }), '1e999', undefined, /no number/],
    [q({ type: 'float' }), '', undefined, ''],
    [q({ type: 'float', required: true }), '', undefined, /must be given: a number/],
    [q({ type: 'bool' }), 'true', true, ''],
    [q({ type: 'bool' }), 'false', false, ''],
    [q({ type: 'bool' }), 'x', undefined, /yes or no/],
    [q({ type: 'string', pattern: '[A-Z]+' }), 'AB', 'AB', ''],
    [q({ type: 'string', pattern: '[A-Z]+' }), 'ab', 'ab', /does not fit the pattern \[A-Z\]\+/],
    [q({ type: 'string', pattern: '(a+)+' }), 'zzz', 'zzz', ''],
    [q({ type: 'string' }), 'a\u200bb', 'a\u200bb', /cannot be seen, U\+200B/],
    [q({ type: 'string' }), '../x', '../x', /leads out of a folder/],
    [q({ type: 'string' }), 'x..y', 'x..y', ''],
    [q({ type: 'string' }), 'ä'.repeat(2049), 'ä'.repeat(2049), /longer than 4096 bytes/],
    [q({ type: 'string', values: ['none', 'fail'] }), '1', 'fail', ''],
    [q({ type: 'int', values: [1, 2] }), '0', 1, ''],
    [q({ type: 'int', values: [1, 2] }), '7', undefined, /Choose one of 1, 2/],
  ]
  for (const [p, text, value, error] of table) {
    const r = read(p, text)
    assert.equal(r.value, value, `${JSON.stringify(p)} ${text.slice(0, 20)}`)
    if (error === '') assert.equal(r.error, '')
    else assert.match(r.error, error)
  }
})

const procedure = {
  limit: 1800,
  parameters: {
    vcal: q({ type: 'int', min: 0, max: 255, default: 200, unit: 'DAC' }),
    fault: q({ type: 'string', values: ['none', 'fail'], default: 'none' }),
    module: q({ type: 'string', pattern: '[A-Z][A-Z0-9_]{0,31}', required: true }),
    note: q({ type: 'string' }),
  },
}

test('a form: defaults, what must be given first, what is empty is not sent', () => {
  assert.deepEqual(parametersOf(procedure).map(([n]) => n), ['module', 'vcal', 'fault', 'note'])
  assert.deepEqual(parametersOf(procedure).map(([, p]) => initial(p)), ['', '200', '0', ''])
  assert.deepEqual(Object.keys(readAll(procedure, {}).errors), ['module'])
  assert.deepEqual(readAll(procedure, { module: 'M12', vcal: '', fault: '1' }), { values: { module: 'M12', fault: 'fail' }, errors: {} })
  assert.equal(wants(procedure.parameters.vcal), 'a whole number from 0 to 255 DAC')
  assert.equal(blamed('ph2acf: parameter module: "M12;ls" does not fit', procedure), 'module')
  assert.equal(blamed('parameter "nope" is unknown', procedure), undefined)
})

test('what can be started: of devices of kind calibration', () => {
  const device = (name: string, kind: string, state: string, procedures?: Record<string, { limit: number }>): Device => ({
    name, at: 0, status: null, freshness: 'none', locks: {},
    meta: { kind, model: '', driver: '', period: 1, fields: {}, procedures }, state: { state, boot: 'b', error: '' },
  })
  const found = startables([device('b', 'calibration', 'lost', { x: { limit: 1 } }), device('hv', 'psu', 'ready', { x: { limit: 1 } }), device('a', 'calibration', 'ready', { x: { limit: 1 }, k: { limit: 2 } })])
  assert.deepEqual(found.map(s => [s.procedure, s.device, s.ready]), [['k', 'a', true], ['x', 'a', true], ['x', 'b', false]])
})

test('the way of a run', () => {
  const marks = (state: string, to?: string[]) => steps(state, to?.map(t => ({ name: '', from: '', to: t, time: '' }))).map(s => `${s.state} ${s.mark}`).join(', ')
  assert.equal(marks('idle'), 'configuring later, running later, finishing later, finished later')
  assert.equal(marks('configuring'), 'configuring now, running later, finishing later, finished later')
  assert.equal(marks('running'), 'configuring done, running now, finishing later, finished later')
  assert.equal(marks('finishing', ['configuring', 'finishing']), 'configuring done, running skipped, finishing now, finished later')
  assert.equal(marks('finished'), 'configuring done, running done, finishing done, finished good')
  assert.equal(marks('failed', ['configuring', 'failed']), 'configuring done, running skipped, finishing skipped, failed bad')
  assert.equal(marks('aborted', ['configuring', 'running', 'finishing', 'aborted']), 'configuring done, running done, finishing done, aborted bad')
  assert.equal(marks('interrupted'), 'configuring skipped, running skipped, finishing skipped, interrupted bad')
  assert.deepEqual(['finished', 'failed', 'running', 'configuring', 'idle'].map(s => tone(s)), ['ok', 'bad', 'info', 'warn', 'idle'])
  assert.equal(tone('running', 'ph2acf is lost'), 'warn')
  assert.deepEqual(['idle', 'configuring', 'running', 'finishing', 'failed'].map(underWay), [false, true, true, true, false])
})
