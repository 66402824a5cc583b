// The temperature guard in a second Node-RED, told to act: the test plays the
// sensor, the demonstrator's hv is what it switches off.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { Bus, WAIT, channelIs, openBrowser, openPage, screenshot, startNodeRed } from './lib.js'

const SHIPPED = new URL('../../nodered/flows.json', import.meta.url)
const probe = 'cleanroom' // one outside, which nobody else plays
const away = 'lv2' // a supply without a driver

describe('the temperature guard', { timeout: 5 * WAIT }, () => {
  const dir = mkdtempSync(join(tmpdir(), 'nodered-e2e-'))
  let bus, browser, page, nodered, timer
  let degrees = 22
  const guard = (mode) => page.locator(`[data-testid=guard][data-mode=${mode}]`)
  const level = (mode, is) => page.locator(`[data-testid=guard][data-mode=${mode}][data-level="${is}"]`).waitFor()
  const order = (mode, where, phase, code = '') => guard(mode).locator(`[data-testid=guard-order][data-where="${where}"][data-phase="${phase}"][data-code="${code}"]`).waitFor()
  const speak = () => { timer = setInterval(() => bus.say(`/sensor/${probe}/temperature`, { value: degrees }), 300) }
  const fromGuard = (from = 0) => bus.commands(from).filter((m) => m.body?.user === 'node-red guard')

  before(async () => {
    bus = await Bus.open('/hv/status', '/hv/state', '/hv/ack', '/hv/cmd/#', `/${away}/cmd/#`)
    await bus.when('hv is ready', (m) => m.topic === '/hv/state' && m.body?.state === 'ready')
    const flows = JSON.parse(readFileSync(SHIPPED, 'utf8'))
    const shipped = flows.find((n) => n.id === 'dcs-guard-room')
    const told = (node, more) => ({ ...node, env: node.env.map((e) => (more[e.name] === undefined ? e : { ...e, value: more[e.name] })) })
    const acting = told(shipped, { SENSOR: probe, MODE: 'act', OFF: `hv/0, ${away}/all`, STALE_S: '3' })
    const dry = told({ ...shipped, id: 'dcs-guard-dry' }, { SENSOR: probe, OFF: 'hv/1', TITLE: 'Rehearsal' })
    const file = join(dir, 'guards.json')
    writeFileSync(file, JSON.stringify([...flows.filter((n) => n !== shipped), acting, dry]))
    nodered = await startNodeRed({ NODERED_USER_DIR: dir, NODERED_FLOW_FILE: file })
    browser = await openBrowser()
    page = await openPage(browser, `${nodered.url}/dashboard/guard`)
  })

  after(async () => {
    clearInterval(timer)
    await browser?.close()
    await nodered?.stop()
    await bus?.tell('hv', 'switch', 0, 'off')
    await bus?.tell('hv', 'setv', 0, 0)
    await bus?.close()
    rmSync(dir, { recursive: true, force: true })
  })

  test('says that there is no value, and is OK once there is one', async () => {
    await level('act', 'no value')
    await guard('act').getByText('has not sent any temperature').waitFor()
    speak()
    await level('act', 'ok')
    await guard('act').getByTestId('guard-value').getByText('22.0', { exact: true }).waitFor()
  })

  test('a sensor that falls silent is not OK', async () => {
    clearInterval(timer)
    await level('act', 'no value')
    await guard('act').getByText('Nobody watches the temperature').waitFor()
    speak()
    await level('act', 'ok')
  })

  test('too hot: it switches off once, and the driver says done', async () => {
    await bus.tell('hv', 'setv', 0, 20)
    await bus.tell('hv', 'switch', 0, 'on')
    const from = bus.heard.length
    degrees = 41
    await level('act', 'tripped')
    const sent = await bus.when('the command', (m) => m.topic === '/hv/cmd/switch/0' && m.body?.user === 'node-red guard', from)
    assert.equal(sent.retain, false)
    assert.equal(sent.body.value, 'off')
    assert.match(sent.body.id, /^nr-/)
    assert.ok(Date.parse(sent.body.expires) > sent.at)
    await bus.when('hv/0 is off', channelIs('hv', 0, (c) => c.on === 0), from)
    await order('act', 'hv/0', 'done')
  })

  test('a rehearsal was checked by the driver and switched nothing', async () => {
    await order('dry', 'hv/1', 'accepted', 'DRY')
    assert.equal(fromGuard().find((m) => m.topic === '/hv/cmd/switch/1').body.dry, 1)
  })

  test('that nobody answered is said loudly, on the other page too', async () => {
    await order('act', `${away}/all`, 'no answer')
    await guard('act').getByText(`${away}/all did not say that it is off. Go and look.`).waitFor()
    await page.getByText(`${away}/all was NOT seen to switch off`).first().waitFor()
    await screenshot(page, 'guard')
    const power = await openPage(browser, `${nodered.url}/dashboard/power`)
    await power.locator(`[data-testid=ack-row][data-device=${away}][data-phase="no answer"].is-bad`).waitFor()
    await power.locator('[data-testid=ack-row][data-device=hv][data-op=switch][data-phase=done][data-user="node-red guard"]').waitFor()
    await power.close()
  })

  test('no storm, and only a person re-arms it, once it is cool', async () => {
    assert.ok(await guard('act').getByTestId('guard-rearm').isDisabled())
    await guard('act').getByTestId('guard-hindrance').getByText('not before 30 °C').waitFor()
    degrees = 25
    await guard('act').getByTestId('guard-value').getByText('25.0').waitFor()
    assert.equal(await guard('act').getAttribute('data-level'), 'tripped')
    assert.equal(fromGuard().length, 3, 'one command a target')
    await guard('act').getByTestId('guard-rearm').click()
    await level('act', 'ok')
    const from = bus.heard.length
    degrees = 40
    await level('act', 'tripped')
    await bus.when('the command of the next excursion', (m) => m.topic === '/hv/cmd/switch/0' && m.body?.user === 'node-red guard', from)
  })

  test('nothing went wrong in the browser', () => assert.deepEqual(page.faults, []))
})
