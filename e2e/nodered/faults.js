// The shipped page when devices misbehave: a Node-RED of its own, with devices
// that the test plays, below a topic root of their own.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { Bus, WAIT, openBrowser, openPage, screenshot, startNodeRed, until } from './lib.js'

describe('the shipped page and devices in trouble', { timeout: 5 * WAIT }, () => {
  const root = `e2e${Math.random().toString(36).slice(2, 8)}`
  const dir = mkdtempSync(join(tmpdir(), 'nodered-e2e-'))
  let bus, browser, page, nodered, seq = 0, timer
  const at = (id) => page.getByTestId(id)
  const state = (state, error = '') => bus.say(`${root}/hv/state`, { state, boot: 'b1', error, time: new Date().toISOString() }, true)
  const status = () => bus.say(`${root}/hv/status`, [{ number: 0, on: 1, vreq: 100, vmon: 99.5, imon: 1e-6, time: new Date().toISOString(), seq: ++seq, boot: 'b1' }])
  const speak = () => { timer = setInterval(status, 500) }
  const fresh = (what) => page.locator(`[data-testid=panel-hv][data-fresh=${what}]`).waitFor()

  before(async () => {
    bus = await Bus.open(`${root}/#`)
    await state('ready')
    nodered = await startNodeRed({ DCS_TOPIC_ROOT: root, NODERED_USER_DIR: dir })
    browser = await openBrowser()
    page = await openPage(browser, `${nodered.url}/dashboard/power`)
  })

  after(async () => {
    clearInterval(timer)
    await browser?.close()
    await bus?.say(`${root}/hv/state`, '', true)
    await bus?.close()
    await nodered?.stop()
    rmSync(dir, { recursive: true, force: true })
  })

  test('a device that has never spoken shows no value', async () => {
    await at('banner-lv').getByText('No state from the driver').waitFor()
    await at('banner-hv').getByText('No reading yet').waitFor()
    speak()
    await fresh('live')
    await at('hv-0-vmon').getByText('99.500', { exact: true }).waitFor()
    await at('banner-hv').waitFor({ state: 'detached' })
  })

  test('readings that stop are stale first, and gone then', async () => {
    clearInterval(timer)
    // Looked at in one moment: it will be gone soon.
    await until('stale, without a value, and said so', async () => {
      const seen = await page.evaluate(() => {
        const at = (id) => document.querySelector(`[data-testid=${id}]`)
        return { fresh: at('panel-hv').dataset.fresh, value: at('hv-0-vmon').dataset.value, banner: at('banner-hv')?.textContent ?? '' }
      })
      return seen.fresh === 'stale' && seen.value === '' && seen.banner.includes('The last reading is')
    })
    await fresh('invalid')
    assert.equal(await at('hv-0-vmon').textContent(), '—')
    assert.equal(await at('hv-0-state').textContent(), '?')
    await at('banner-hv').getByText('No reading for').waitFor()
    await screenshot(page, 'power-stale')
    speak()
    await fresh('live')
  })

  test('a driver that is lost or cannot reach its instrument is named', async () => {
    await state('unreachable', 'connection refused')
    await at('banner-hv').getByText('The instrument does not answer. (connection refused)').waitFor()
    await fresh('stale')
    await state('lost')
    await at('banner-hv').getByText('The driver is gone').waitFor()
    await state('ready')
    await fresh('live')
  })

  test('a command that nobody answers says so', async () => {
    const from = bus.heard.length
    await at('hv-0-off').click()
    const sent = await bus.when('the command below the root', (m) => m.topic === `${root}/hv/cmd/switch/0`, from)
    assert.equal(sent.body.value, 'off')
    await page.locator('[data-testid=ack-row][data-phase="no answer"].is-bad').waitFor()
  })

  test('Node-RED ends promptly with a browser on it, and the page says it has lost it', async () => {
    assert.deepEqual(page.faults, [], 'nothing went wrong in the browser')
    const { code, ms } = await nodered.stop()
    nodered = null
    assert.equal(code, 0)
    assert.ok(ms < 10_000, `took ${ms} ms`) // which is how long Docker waits
    await at('banner-hv').getByText('This page has lost Node-RED').waitFor()
    await page.locator('[data-testid=hv-0-on]:disabled').waitFor()
  })
})
