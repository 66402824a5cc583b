// The overview and a supply: what is shown, and what can be done.
import assert from 'node:assert/strict'
import { after, before, describe } from 'node:test'
import { LAPTOP, WAIT, ask, at, drag, enter, focus, number, openBrowser, quiet, refused, screenshot, steps, tell, until, whole } from './lib.js'

const SET = 80 // V

describe('a supply', { timeout: 5 * WAIT }, () => {
  const test = steps()
  let browser, page, channel, plotted
  before(async () => {
    browser = await openBrowser()
    page = await enter(browser, 'operator')
    await at(page, 'overview').waitFor()
    await quiet(page, 'hv', 0)
  })
  after(async () => {
    if (channel) await quiet(page, 'hv', 0)
    await browser?.close()
  })
  const result = (op, phase) => channel.locator(`[data-test=result-${op}][data-phase=${phase}]`)

  test('the overview shows every device, live', async () => {
    for (const name of ['hv', 'lv', 'sensor_1', 'dht_room', 'ph2acf']) {
      const card = page.locator(`[data-test=device-${name}][data-fresh=live]`)
      await card.waitFor()
      await card.getByText('ready').waitFor()
      await card.getByText('live', { exact: true }).waitFor()
    }
    for (const row of ['hv-0', 'hv-3', 'lv-1', 'lv-4']) assert.ok(Number.isFinite(await number(at(at(page, `row-${row}`), 'vmon'))), row)
    await until('a temperature that is live', async () => /^\d+\.\d+\s*°C$/.test(await at(at(page, 'device-dht_room'), 'temperature').textContent()))
    for (const name of ['gateway', 'loader', 'runcontrol', 'calibration']) await at(page, `service-${name}`).getByText('ready').waitFor()
    for (const banner of ['gateway', 'bus', 'connecting']) await at(page, `banner-${banner}`).waitFor({ state: 'detached' })
  })

  test('its page shows the channels and their limits', async () => {
    await page.getByRole('link', { name: 'hv', exact: true }).click()
    await page.getByRole('heading', { name: 'hv', level: 1 }).waitFor()
    await focus(page, 'h1') // who listens hears that there is a new page
    await page.locator('[data-test=device-page-hv][data-fresh=live]').waitFor()
    channel = at(page, 'channel-0')
    plotted = page.getByRole('row', { name: /^Channel 0/ })
    await at(channel, 'form-setv').getByText('0 to 1000 V').waitFor()
    await at(channel, 'on').getByText('off').waitFor()
  })

  test('a setpoint goes its way to done', async () => {
    await channel.getByRole('textbox', { name: 'Voltage' }).fill(String(SET))
    await channel.getByRole('button', { name: 'Set voltage of channel 0' }).click()
    await result('setv', 'done').getByText(`${SET}: done`).waitFor()
    await at(channel, 'vreq').getByText(`${SET}.00`).waitFor()
  })

  test('switching on asks, and names what it would do', async () => {
    const before = await page.locator('[data-test=my-commands] [data-test=command]').count()
    await channel.getByRole('button', { name: 'Switch on channel 0' }).click()
    const dialog = page.getByRole('dialog', { name: 'Switch on?' })
    await dialog.getByText('hv, channel 0').waitFor()
    assert.equal(await at(dialog, 'switch-target').textContent(), `${SET}.00 V`)
    await dialog.getByText('10.00 V/s').waitFor()
    await dialog.getByRole('button', { name: 'Cancel' }).click()
    await dialog.waitFor({ state: 'hidden' })
    assert.equal(await page.locator('[data-test=my-commands] [data-test=command]').count(), before, 'nothing was sent')
    await at(channel, 'on').getByText('off', { exact: true }).waitFor()
  })

  test('the ramp is seen in the plot, and the ack goes from accepted to done', async () => {
    await at(page, 'line-channel-1').uncheck()
    await at(page, 'line-channel-2').uncheck()
    await at(page, 'line-channel-3').uncheck()
    await until('no voltage in the plot', async () => Math.abs(await number(plotted.getByRole('cell').nth(1))) < 1)
    await channel.getByRole('button', { name: 'Switch on channel 0' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Switch on' }).click()

    // Looked at in one moment: the ramp goes on.
    let seen
    await until('the middle of the ramp', async () => {
      seen = await page.evaluate(ramping)
      return seen.percent >= 40 && seen.percent < 100 && /→ 80\.00 V, .*left$/.test(seen.text) && seen.vmon > 20 && seen.vmon < SET && seen.on === 'on' && seen.result === 'accepted'
    }).catch(() => assert.fail(`never in the middle of the ramp, at last ${JSON.stringify(seen)}`))
    // The line leaves the floor in the picture, and in the numbers below it.
    await until('the curve of channel 0 rises', async () => await inked(page) > 50)
    await until("the plot's last value", async () => await number(plotted.getByRole('cell').nth(1)) > 20)
    const last = await number(plotted.getByRole('cell').nth(1))
    assert.ok(last > 20 && last <= SET + 1, `the plot's last value is ${last} V`)
    assert.ok(await number(plotted.getByRole('cell').nth(4)) > 20) // what was there before the test may be higher
    await until('most of the ramp', async () => !((await page.evaluate(ramping)).percent < 75))
    await drag(page, 0.96, 0.999) // the last half minute
    await whole(page, 'plot-panel')
    await screenshot(page, 'console-device')
    await page.setViewportSize(LAPTOP)
    await at(page, 'zoom-reset').click()

    await result('switch', 'done').waitFor()
    await until('the voltage', async () => Math.abs(await number(at(channel, 'vmon')) - SET) < 1)
    await until('the voltage in the plot', async () => Math.abs(await number(plotted.getByRole('cell').nth(1)) - SET) < 1)
    await channel.getByRole('progressbar', { name: 'Ramp of channel 0' }).waitFor({ state: 'detached' })
    const way = page.locator('[data-test=my-commands] [data-test=command]').first()
    assert.match(await way.textContent(), /hv channel 0: switch on.*sent.*accepted.*done/)
  })

  test('what the driver refuses is red, with the closest value that is valid', async () => {
    await at(channel, 'setv').fill('5000')
    await at(channel, 'setv-note').getByText('above the limit of 1000 V').waitFor()
    await at(channel, 'setv').press('Enter')
    const alert = channel.getByRole('alert').filter({ hasText: '5000: refused' })
    await alert.waitFor()
    await alert.getByText('OUT_OF_RANGE').waitFor()
    await alert.getByText('The closest valid value is 1000 V.').waitFor()
    const [r, g, b] = (await alert.locator('.chip').evaluate((e) => getComputedStyle(e).color)).match(/\d+/g).map(Number)
    assert.ok(r > 120 && g < 60 && b < 60, `rgb(${r}, ${g}, ${b}) is red`)
    await page.evaluate(() => scrollTo(0, 0))
    await screenshot(page, 'console-refused')
    await at(channel, 'vreq').getByText(`${SET}.00`).waitFor()

    await alert.getByRole('button', { name: 'Use 1000 V' }).click()
    assert.equal(await at(channel, 'setv').inputValue(), '1000')
    assert.equal(await page.evaluate(() => document.activeElement.dataset.test), 'setv-set', 'Enter would send it, and nothing was sent by itself')
    await at(channel, 'vreq').getByText(`${SET}.00V`, { exact: true }).waitFor()
    await at(channel, 'setv').fill('1,5')
    await at(channel, 'setv-set').click()
    await at(channel, 'setv-note').getByText('point').waitFor()
  })

  test('the overview says so, too', async () => {
    const overview = await enter(browser, 'operator')
    const row = at(overview, 'row-hv-0')
    await at(row, 'on').getByText('on', { exact: true }).waitFor()
    await until('the voltage', async () => Math.abs(await number(at(row, 'vmon')) - SET) < 1)
    await whole(overview, 'overview')
    await screenshot(overview, 'console-overview')
    await overview.context().close()
  })

  test('off does not ask', async () => {
    await channel.getByRole('button', { name: 'Switch off channel 0' }).click()
    await at(channel, 'on').getByText('off').waitFor()
    assert.equal(await page.getByRole('dialog').count(), 0)
    await channel.locator('[data-test=result-switch]').getByText(/^switch off: (under way|done)$/).waitFor()
    await until('a falling voltage', async () => await number(at(channel, 'vmon')) < SET - 5)
  })

  test('a lock says who and why, and who may lift it', async () => {
    await channel.getByText('Limit, ramp, lock').click()
    await channel.getByRole('button', { name: 'Lock channel 0' }).click()
    await channel.getByText('Say why').waitFor()
    await at(channel, 'lock-reason').fill('hands in the box')
    await channel.getByRole('button', { name: 'Lock channel 0' }).click()
    const tag = at(channel, 'lock-tag')
    await tag.getByText('Locked by operator').waitFor()
    await tag.getByText('“hands in the box”').waitFor()
    assert.ok(await tag.getByRole('button', { name: 'Unlock' }).isEnabled(), 'one may lift one\'s own')
    const { status, body } = await refused(page, 'hv', { op: 'switch', channel: 0, value: 'on' })
    assert.deepEqual([status, body.code], [409, 'LOCKED'])

    const viewer = await enter(browser, 'viewer', '/device/hv')
    const seen = at(at(viewer, 'channel-0'), 'lock-tag')
    await seen.getByText('Locked by operator').waitFor()
    assert.ok(await seen.getByRole('button', { name: 'Unlock' }).isDisabled())
    await seen.getByText('Only operator or an expert may unlock it.').waitFor()
    assert.equal((await ask(viewer, 'POST', '/devices/hv/commands', { op: 'unlock', channel: 0 })).status, 403)
    await viewer.context().close()

    const expert = await enter(browser, 'expert', '/device/hv')
    await at(expert, 'unlock').first().click()
    await tag.waitFor({ state: 'detached' })
    await at(at(expert, 'channel-0'), 'lock-tag').waitFor({ state: 'detached' })

    // The other way round: an operator does not lift an expert's.
    await tell(expert, 'hv', { op: 'lock', channel: 0, reason: 'alignment' })
    await tag.getByText('Locked by expert').waitFor()
    assert.ok(await tag.getByRole('button', { name: 'Unlock' }).isDisabled())
    const no = await ask(page, 'POST', '/devices/hv/commands', { op: 'unlock', channel: 0 })
    assert.deepEqual([no.status, no.body.role], [403, 'expert'])
    await tell(expert, 'hv', { op: 'unlock', channel: 0 })
    await tag.waitFor({ state: 'detached' })
    await expert.context().close()
  })

  test('the current limit is for experts', async () => {
    assert.ok(await at(channel, 'seti').isDisabled())
    await at(channel, 'seti-note').getByText('Needs the role expert.').waitFor()
    assert.equal((await ask(page, 'POST', '/devices/hv/commands', { op: 'seti', channel: 0, value: 0.001 })).status, 403)
    const expert = await enter(browser, 'expert', '/device/hv')
    const mine = at(expert, 'channel-0')
    await at(mine, 'more').click()
    await at(mine, 'seti').fill('5 mA')
    await at(mine, 'seti-set').click()
    await mine.locator('[data-test=result-seti][data-phase=done]').waitFor()
    await at(mine, 'ireq').getByText('5.000').waitFor()
    await tell(expert, 'hv', { op: 'seti', channel: 0, value: 0.008 })
    await expert.context().close()
  })

  test('the way down ends, too', async () => {
    await result('switch', 'done').getByText('switch off: done').waitFor()
    assert.match(await page.locator('[data-test=my-commands] [data-test=command]', { hasText: 'switch off' }).first().textContent(), /sent.*accepted.*done/)
    await until('no voltage', async () => Math.abs(await number(at(channel, 'vmon'))) < 1)
  })

  test('all off asks once, and says of each supply what came of it', async () => {
    await at(page, 'nav-overview').click()
    await page.getByRole('button', { name: 'All off' }).click()
    const dialog = page.getByRole('dialog', { name: 'Switch off all supplies' })
    await dialog.getByRole('button', { name: 'Switch all off' }).click()
    for (const name of ['hv', 'lv']) await at(dialog, `off-${name}`).getByText(/done|under way/).waitFor()
    await dialog.getByRole('button', { name: 'Close' }).click()
    await dialog.waitFor({ state: 'hidden' })
  })
})

// ramping is what the page says of channel 0 while it ramps.
function ramping () {
  const card = document.querySelector('[data-test=channel-0]')
  const bar = card.querySelector('[role=progressbar]')
  return {
    percent: Number(bar?.getAttribute('aria-valuenow') ?? NaN),
    text: bar?.getAttribute('aria-valuetext'),
    vmon: parseFloat(card.querySelector('[data-test=vmon]').textContent),
    on: card.querySelector('[data-test=on]').textContent,
    result: card.querySelector('[data-test=result-switch]')?.dataset.phase
  }
}

// inked is over how many pixels the first line of the plot rises; its colour is
// that of its name in the table below.
function inked (page) {
  return page.evaluate(() => {
    const canvas = document.querySelector('[data-test=plot] canvas')
    const probe = document.createElement('canvas').getContext('2d')
    probe.fillStyle = document.querySelector('[data-test="line-0-vmon"] path').getAttribute('stroke')
    probe.fillRect(0, 0, 1, 1)
    const want = probe.getImageData(0, 0, 1, 1).data
    const { data, width } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
    let top = Infinity
    let bottom = -1
    for (let i = 0; i < data.length; i += 4) {
      if (data[i + 3] < 200 || [0, 1, 2].some((k) => Math.abs(data[i + k] - want[k]) > 12)) continue
      const y = Math.floor(i / 4 / width)
      top = Math.min(top, y)
      bottom = Math.max(bottom, y)
    }
    return bottom - top
  })
}
