// A flow wired as the original's, next to the shipped one in one Node-RED: the
// status feeds the old slider, and the slider sends setv.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { Bus, WAIT, channelIs, openBrowser, openPage, screenshot, startNodeRed } from './lib.js'

const json = (path) => JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'))

describe('a flow of the original stack', { timeout: 5 * WAIT }, () => {
  const dir = mkdtempSync(join(tmpdir(), 'nodered-e2e-'))
  let bus, browser, page, nodered

  const isAck = (op, value, phase) => (m) => m.topic === '/hv/ack' && m.body?.op === op && m.body.channel === 0 && m.body.value === value && m.body.phase === phase
  const isEcho = (value) => (m) => m.topic === '/hv/cmd/setv/0' && Number(m.text) === value

  // An echo that meets a newer setpoint reverts it: that is this wiring's own
  // weakness. Right after a reading nothing is on its way.
  const reading = () => bus.when('a reading', channelIs('hv', 0, () => true), bus.heard.length)

  before(async () => {
    bus = await Bus.open('/hv/status', '/hv/state', '/hv/ack', '/hv/cmd/#')
    await bus.when('hv is ready', (m) => m.topic === '/hv/state' && m.body?.state === 'ready')
    await bus.tell('hv', 'switch', 0, 'off')
    await bus.tell('hv', 'setv', 0, 0)
    const flows = join(dir, 'both.json')
    writeFileSync(flows, JSON.stringify([...json('../../nodered/flows.json'), ...json('legacy-flow.json')]))
    nodered = await startNodeRed({ NODERED_USER_DIR: dir, NODERED_FLOW_FILE: flows })
    browser = await openBrowser()
    page = await openPage(browser, `${nodered.url}/ui/`)
  })

  after(async () => {
    await browser?.close()
    await nodered?.stop()
    await bus?.tell('hv', 'switch', 0, 'off')
    await bus?.tell('hv', 'setv', 0, 0)
    await bus?.close()
    rmSync(dir, { recursive: true, force: true })
  })

  test('its slider sets the voltage with a bare number', async () => {
    const slider = page.locator('.old-slider md-slider')
    await slider.waitFor()
    await bus.when('the first echo', isEcho(0))
    const box = await slider.boundingBox()
    for (let stays = false, i = 1; !stays; i++) {
      const from = bus.heard.length
      await reading()
      await slider.click({ position: { x: box.width * 0.5, y: box.height / 2 } })
      const sent = await bus.when('the command of the slider', (m) => m.topic === '/hv/cmd/setv/0' && Number(m.text) > 0, from)
      assert.match(sent.text, /^\d+\.$/)
      const value = Number(sent.text)
      await bus.when('its acceptance', isAck('setv', value, 'accepted'), from)
      await bus.when('its end', isAck('setv', value, 'done'), from)
      await bus.when('the setpoint', channelIs('hv', 0, (c) => c.vreq === value), from)
      for (let n = 0; n < 2; n++) stays = (await reading()).body[0].vreq === value
      assert.ok(stays || i < 5, 'the setpoint stays') // a click that took a second has met an echo
    }
  })

  test('its switch switches, and its gauge follows', async () => {
    const from = bus.heard.length
    const { vreq } = (await bus.when('a reading', channelIs('hv', 0, (c) => c.vreq > 0), from)).body[0]
    await page.locator('.old-switch md-switch').click()
    const sent = await bus.when('the command of the switch', (m) => m.topic === '/hv/cmd/switch/0', from)
    assert.equal(sent.text, 'on')
    await bus.when('its end', isAck('switch', 'on', 'done'), from)
    await bus.when('the voltage', channelIs('hv', 0, (c) => c.on === 1 && Math.abs(c.vmon - vreq) < 1), from)
    await page.waitForFunction((v) => [...document.querySelectorAll('.old-gauge svg text')].some((e) => e.textContent && Math.abs(Number(e.textContent) - v) < 1), vreq)
    await screenshot(page, 'legacy')
  })

  test('its echo does no harm', async () => {
    const from = bus.heard.length
    for (const value of [30, 20, 30]) {
      await reading()
      const begin = bus.heard.length
      assert.equal((await bus.tell('hv', 'setv', 0, value)).phase, 'done')
      const echo = await bus.when('the echo', isEcho(value), begin)
      await bus.when('the end of the echo', (m) => isAck('setv', value, 'done')(m) && m.body.user !== 'e2e', bus.heard.indexOf(echo))
      for (let i = 0; i < 3; i++) assert.equal((await reading()).body[0].vreq, value, 'the setpoint stays')
      assert.equal(bus.commands(begin).length, 2, 'one echo a change, and no echo of the echo')
    }
    const bad = bus.heard.slice(from).filter((m) => m.topic === '/hv/ack' && !['accepted', 'done'].includes(m.body.phase))
    assert.deepEqual(bad, [])
  })

  test('the shipped page next to it shows the same channel', async () => {
    const shipped = await openPage(browser, `${nodered.url}/dashboard/power`)
    await shipped.waitForFunction(() => Math.abs(Number(document.querySelector('[data-testid=hv-0-vmon]')?.dataset.value) - 30) < 1)
    await shipped.locator('[data-testid=ack-row][data-device=hv][data-op=setv][data-value="30"]').first().waitFor()
  })
})
