// What axe finds on each page, in both looks and sizes.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { LAPTOP, PHONE, URL, WAIT, accessible, ask, at, enter, fits, openBrowser, screenshot, tell, until, visit, whole } from './lib.js'

describe('accessibility', { timeout: 20 * WAIT, concurrency: 2 }, () => {
  let browser, run
  before(async () => {
    browser = await openBrowser()
    const page = await enter(browser, 'operator')
    await tell(page, 'hv', { op: 'lock', channel: 3, reason: 'seen by axe' })
    const last = async () => (await ask(page, 'GET', '/runs?state=finished&limit=1')).body.runs[0]?.run
    run = await last()
    if (run === undefined) { // nobody has started one before
      const expert = await enter(browser, 'expert')
      const { status, body } = await ask(expert, 'POST', '/runs', { procedure: 'calibration', parameters: { module: 'AXE', duration: 1, channels: 512, megabytes: 1 } })
      assert.ok(status === 200 || status === 202, JSON.stringify(body))
      run = await until('a run', last)
      await expert.context().close()
    }
    await page.context().close()
  })
  after(async () => {
    if (browser) {
      const page = await enter(browser, 'operator')
      await tell(page, 'hv', { op: 'unlock', channel: 3 })
    }
    await browser?.close()
  })

  for (const dark of [false, true]) {
    for (const [size, viewport] of [['laptop', LAPTOP], ['phone', PHONE]]) {
      const look = `${dark ? 'dark' : 'light'}, ${size}`
      test(`nothing is found by axe: ${look}`, async () => {
        const stranger = await visit(browser, { viewport, dark })
        await stranger.goto(`${URL}/login`)
        await stranger.getByLabel('Name').waitFor()
        await accessible(stranger, `login, ${look}`)
        await stranger.context().close()

        const page = await enter(browser, 'expert', '/', { viewport, dark })
        const judge = async (what) => {
          await accessible(page, `${what}, ${look}`)
          await fits(page, `${what}, ${look}`)
        }
        await page.locator('[data-test=device-hv][data-fresh=live]').waitFor()
        if (size === 'phone' && !dark) await screenshot(page, 'console-phone')
        await judge('overview')
        await at(page, 'user-menu').click()
        await at(page, 'theme-dark').waitFor()
        await judge("the user's menu")
        await page.keyboard.press('Escape')

        await at(page, 'open-hv').click()
        await at(page, 'channel-0').waitFor()
        await at(at(page, 'channel-3'), 'lock-tag').waitFor()
        await at(page, 'plot').waitFor()
        await at(at(page, 'channel-0'), 'setv').fill('5000')
        await at(at(page, 'channel-0'), 'setv').press('Enter')
        await at(page, 'closest').waitFor()
        for (const more of await at(page, 'more').all()) await more.click()
        await judge('device')
        if (dark && size === 'laptop') {
          for (const more of await at(page, 'more').all()) await more.click()
          await whole(page, 'plot-panel')
          await screenshot(page, 'console-dark')
          await page.setViewportSize(viewport)
        }
        await at(at(page, 'channel-0'), 'switch-on').click()
        await page.getByRole('dialog').waitFor()
        await judge('dialog')
        await page.keyboard.press('Escape')

        await at(page, 'nav-acks').click()
        await at(page, 'ack').first().waitFor()
        await judge('acks')
        await at(page, 'nav-audit').click()
        await at(page, 'audit-entry').first().waitFor()
        await judge('audit')
        await at(page, 'nav-runs').click()
        await at(page, 'run-list').waitFor()
        await at(page, 'param-module').fill('!')
        await at(page, 'start').click()
        await at(page, 'param-module-error').getByText('does not fit').waitFor()
        await judge('runs')
        await page.goto(`${URL}/runs/${run}`)
        await page.locator('[data-test=run-page][data-complete=true]').waitFor()
        for (const summary of await page.locator('summary').all()) await summary.click()
        await at(page, 'threshold-map').waitFor()
        await judge('one run')
        await page.goto(`${URL}/nowhere`)
        await page.getByRole('heading', { level: 1 }).waitFor()
        await judge('no such page')
        await page.context().close()
      })
    }
  }
})
