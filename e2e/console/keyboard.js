// The console without a mouse.
import assert from 'node:assert/strict'
import { after, before, describe } from 'node:test'
import { URL, WAIT, at, enter, number, openBrowser, password, quiet, steps, until, visit } from './lib.js'

describe('the console by keyboard', { timeout: 2 * WAIT }, () => {
  const test = steps()
  let browser, page, channel
  before(async () => {
    browser = await openBrowser()
    const helper = await enter(browser, 'operator')
    await quiet(helper, 'hv', 1)
    page = await visit(browser)
    channel = at(page, 'channel-1')
  })
  after(async () => {
    if (browser) await quiet(await enter(browser, 'operator'), 'hv', 1)
    await browser?.close()
  })
  const press = (key) => page.keyboard.press(key)
  const focused = () => page.evaluate(() => document.activeElement.dataset.test ?? document.activeElement.textContent)
  const heading = (text) => page.waitForFunction((text) => document.activeElement.tagName === 'H1' && document.activeElement.textContent === text, text)

  // to goes on with Tab to what is looked for; that it has the focus must be seen.
  async function to (selector) {
    for (let i = 0; i < 100; i++) {
      await press('Tab')
      const [there, ring] = await page.evaluate((selector) => {
        const s = getComputedStyle(document.activeElement)
        return [document.activeElement.matches(selector), s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2]
      }, selector)
      if (!there) continue
      assert.ok(ring, `the focus on ${selector} cannot be seen`)
      return
    }
    assert.fail(`${selector} is not reached`)
  }

  test('who comes in', async () => {
    await page.goto(`${URL}/login`)
    await page.waitForFunction(() => document.activeElement.id === 'user')
    await page.keyboard.type('operator')
    await press('Tab')
    await page.keyboard.type(password('operator'))
    await press('Enter')
    await page.locator('[data-test=device-hv][data-fresh=live]').waitFor()
  })

  test('skips the bar, and opens the device', async () => {
    await press('Tab')
    assert.equal(await focused(), 'Skip to the content')
    await press('Enter')
    await heading('Overview')
    await to('[data-test=open-hv]')
    await press('Enter')
    await heading('hv')
  })

  test('sets a voltage', async () => {
    await to('[data-test=channel-1] [data-test=setv]')
    await page.keyboard.type('20')
    await press('Enter')
    await channel.locator('[data-test=result-setv][data-phase=done]').waitFor()
    assert.equal(await focused(), 'setv', 'the focus stays')
    await at(page, 'announce').getByText('hv channel 1: set 20 V: done').waitFor({ state: 'attached' })
  })

  test('switches on through the dialog, which gives the focus back', async () => {
    const dialog = page.getByRole('dialog', { name: 'Switch on?' })
    await to('[data-test=channel-1] [data-test=switch-on]')
    await press('Enter')
    await dialog.waitFor()
    await press('Escape')
    await dialog.waitFor({ state: 'hidden' })
    assert.equal(await focused(), 'switch-on')
    await press('Enter')
    await dialog.waitFor()
    assert.ok(await page.evaluate(() => document.activeElement.closest('dialog') !== null), 'the focus is in the dialog')
    await to('dialog [data-test=confirm]')
    await press('Enter')
    await dialog.waitFor({ state: 'hidden' })
    assert.equal(await page.evaluate(() => document.activeElement.getAttribute('aria-label')), 'Switch on channel 1')
    await until('the voltage', async () => Math.abs(await number(at(channel, 'vmon')) - 20) < 1)
  })

  // The browser says of a dialog that it was closed a frame later.
  test('a dialog that is opened again at once stays open', async () => {
    for (const how of ['cancel', 'Escape']) {
      assert.deepEqual(await page.evaluate(again, how), [true, false, true, true], how)
      await press('Escape')
      await page.locator('dialog[open]').waitFor({ state: 'detached' })
    }
  })

  test('switches off', async () => {
    await to('[data-test=channel-1] [data-test=switch-off]')
    await press('Enter')
    await channel.locator('[data-test=result-switch][data-phase=done]').getByText('switch off').waitFor()
  })
})

// again opens the dialog of channel 1, closes it and opens it again before the
// next frame. It returns whether it was open after each, and two frames later.
async function again (how) {
  const drawn = async () => { for (let i = 0; i < 10; i++) await null }
  const frame = () => new Promise(requestAnimationFrame)
  const button = document.querySelector('[data-test=channel-1] [data-test=switch-on]')
  const dialog = document.querySelector('[data-test=channel-1] dialog')
  const open = []
  const look = async () => { await drawn(); open.push(dialog.open) }
  await frame()
  button.click()
  await look()
  if (how === 'Escape') dialog.requestClose()
  else dialog.querySelector('[data-test=cancel]').click()
  await look()
  button.click()
  await look()
  await frame()
  await frame()
  await look()
  return open
}
