import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sitePath } from '../router'

test('only paths of this site are gone to', () => {
  for (const [next, want] of [[null, '/'], ['', '/'], ['/device/hv', '/device/hv'], ['/runs/3?x=1', '/runs/3?x=1'], ['//evil.example', '/'], ['/\\evil.example', '/'], ['https://evil.example', '/'], ['javascript:alert(1)', '/'], ['/\t/evil.example', '/'], ['/login?next=/login', '/'], ['/..//evil.example', '/']] as const) {
    assert.equal(sitePath(next), want, String(next))
  }
})
