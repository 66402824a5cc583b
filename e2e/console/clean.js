// Of all pages that the tests have opened. It comes last.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { clean, pages } from './lib.js'

describe('all pages', () => {
  test('have asked no other host, broken no rule of their policy, and met no error', () => {
    assert.ok(pages.length > 0)
    for (const page of pages) clean(page, /status of 503 \(\) \(.*\/grafana\/\)$/) // which the demonstrator does not have
  })
})
