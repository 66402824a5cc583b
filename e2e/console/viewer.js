// Who may only look: buttons say why they do nothing, and the API refuses the same.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { WAIT, ask, at, enter, openBrowser } from './lib.js'

describe('a viewer', { timeout: 2 * WAIT }, () => {
  let browser, page
  before(async () => {
    browser = await openBrowser()
    page = await enter(browser, 'viewer')
  })
  after(() => browser?.close())

  // dead fails unless all are disabled, and described by a text that can be seen.
  async function dead (buttons, why) {
    await buttons.first().waitFor()
    for (const b of await buttons.all()) {
      assert.ok(await b.isDisabled(), await b.getAttribute('data-test'))
      const ids = (await b.getAttribute('aria-describedby') ?? '').split(' ')
      const texts = await Promise.all(ids.filter(Boolean).map(async (id) => (await page.locator(`[id="${id}"]`).isVisible()) ? page.locator(`[id="${id}"]`).textContent() : ''))
      assert.match(texts.join(' '), why, await b.getAttribute('data-test'))
    }
  }
  const names = (...all) => all.map((n) => `[data-test="${n}"]`).join(', ')

  test('cannot switch a supply, and reads why', async () => {
    await dead(at(page, 'all-off'), /needs the role operator/)
    await page.getByRole('link', { name: 'hv', exact: true }).click()
    await at(page, 'role-note').getByText('You are logged in as viewer and may look.').waitFor()
    await at(page, 'channel-3').waitFor()
    for (const more of await at(page, 'more').all()) await more.click()
    await dead(page.locator(names('switch-on', 'switch-off', 'clear')), /need the role operator/)
    await dead(page.locator(names('setv', 'lock-reason')), /Needs the role operator/)
    await dead(page.locator('input[data-test=ramp]'), /Needs the role operator/)
    await dead(at(page, 'seti'), /Needs the role expert/)
    for (const b of await page.locator(names('setv-set', 'ramp-set', 'seti-set', 'lock')).all()) assert.ok(await b.isDisabled())
  })

  test('cannot do it past the page', async () => {
    for (const command of [
      { op: 'switch', channel: 0, value: 'on' }, { op: 'switch', channel: 0, value: 'off' }, { op: 'setv', channel: 0, value: 1 }, { op: 'seti', channel: 0, value: 0.001 },
      { op: 'ramp', channel: 0, value: 1 }, { op: 'clear', channel: 0 }, { op: 'lock', channel: 0, reason: 'x' }, { op: 'unlock', channel: 0 }
    ]) {
      const { status, body } = await ask(page, 'POST', '/devices/hv/commands', command)
      assert.equal(status, 403, command.op)
      assert.match(body.detail, /operator|expert/)
    }
    assert.equal((await ask(page, 'POST', '/off', {})).status, 403)
    assert.equal((await ask(page, 'POST', '/ingest/x', [1])).status, 403)
  })

  test('cannot start a run or abort one', async () => {
    await at(page, 'nav-runs').click()
    await dead(page.locator(names('check', 'start')), /needs the role expert; you are viewer/)
    assert.equal((await ask(page, 'POST', '/runs', { procedure: 'calibration', parameters: { module: 'V1' } })).status, 403)
    assert.equal((await ask(page, 'POST', '/runs/1/abort', {})).status, 403)
  })

  test('has no audit log', async () => {
    assert.equal(await at(page, 'nav-audit').count(), 0)
    assert.equal((await ask(page, 'GET', '/audit')).status, 403)
  })

  test('finds neither flows nor dashboard', async () => {
    for (const link of ['link-dashboard', 'link-editor']) assert.equal(await at(page, link).count(), 0)
    for (const path of ['/nodered/', '/nodered/dashboard/power']) {
      const res = await page.goto(new globalThis.URL(path, page.url()).href)
      assert.equal(res.status(), 403)
      await page.getByRole('heading', { level: 1 }).waitFor()
    }
  })
})
