// What was said to commands, and who did what.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { after, before, describe, test } from 'node:test'
import { URL, WAIT, ask, at, enter, gone, openBrowser, tell, until } from './lib.js'

// The demonstrator's ports are moved by the same number, all of them.
const BROKER = process.env.MQTT_URL || `mqtt://127.0.0.1:${Number(new globalThis.URL(URL).port) - 8443 + 1883}`

// script commands as a script on the bus does: nobody has checked who it is.
function script (topic, body) {
  const { hostname, port } = new globalThis.URL(BROKER)
  execFileSync('mosquitto_pub', ['-h', hostname, '-p', port, '-q', '1', '-t', topic, '-m', JSON.stringify(body)])
}

describe('acks and audit', { timeout: 2 * WAIT }, () => {
  let browser, page, mine
  const script1 = `script-${Math.random().toString(36).slice(2)}`
  before(async () => {
    browser = await openBrowser()
    page = await enter(browser, 'operator', '/acks')
  })
  after(() => browser?.close())

  test('acks come as they are heard, whoever has commanded', async () => {
    await page.getByRole('heading', { name: 'Acks', level: 1 }).waitFor()
    mine = await tell(page, 'lv', { op: 'setv', channel: 4, value: 1.5 })
    const row = page.locator(`[data-test=ack][data-id="${mine.id}"][data-phase=done]`)
    await row.waitFor()
    for (const word of ['lv', '4', 'set 1.5 V', 'done', 'operator']) await row.getByText(word, { exact: true }).waitFor()

    script('/lv/cmd/setv/4', { value: 1.25, id: script1, user: 'mallory' })
    await page.locator(`[data-test=ack][data-id="${script1}"][data-phase=done]`).getByText('mallory').waitFor()
    const first = page.locator('[data-test=ack]').first()
    assert.equal(await first.getAttribute('data-id'), script1, 'the newest is on top')
  })

  test('acks are told apart by device', async () => {
    await at(page, 'acks-device').selectOption('lv')
    await page.waitForURL(`${URL}/acks?device=lv`)
    await page.locator(`[data-test=ack][data-id="${script1}"]`).first().waitFor()
    await at(page, 'acks-device').selectOption('hv')
    await gone(page.locator(`[data-test=ack][data-id="${script1}"]`))
  })

  test('what the gateway has sent has a name that was checked, what a script has sent has not', async () => {
    await at(page, 'nav-audit').click()
    await page.getByRole('heading', { name: 'Audit log', level: 1 }).waitFor()
    const row = (user, value) => page.locator('[data-test=audit-entry][data-kind=outcome]').filter({ hasText: user }).filter({ hasText: `lv, channel 4: set ${value} V` }).filter({ hasText: 'done' }).first()
    await until('the script in the log', async () => {
      await at(page, 'audit-reload').click()
      await page.locator('section[aria-busy=false]').waitFor()
      return await row('mallory', 1.25).count() === 1
    })
    const bad = row('mallory', 1.25)
    await at(bad, 'unverified').getByText('not verified').waitFor()
    assert.equal(await at(bad, 'verified').count(), 0)
    const good = row('operator', 1.5)
    await at(good, 'verified').getByText('verified').waitFor()
    const command = page.locator('[data-test=audit-entry][data-kind=command]').filter({ hasText: 'lv, channel 4: set 1.5 V' }).first()
    await at(command, 'verified').waitFor()
    await command.getByText('session from 127.0.0.1').waitFor()
  })

  test('the log is told apart by kind and user', async () => {
    await at(page, 'audit-kind').selectOption('command')
    await page.waitForURL(`${URL}/audit?kind=command`)
    await gone(page.locator('[data-test=audit-entry][data-kind=outcome]'))
    await page.getByLabel('User').fill('nobody-at-all')
    await page.getByLabel('User').press('Enter')
    await page.getByText('There is no such entry.').waitFor()
  })

  test('who logs in is for admins', async () => {
    assert.deepEqual(await page.getByLabel('Kind').locator('option', { hasText: 'logins' }).all(), [])
    assert.equal((await ask(page, 'GET', '/audit?kind=login')).status, 403)
    assert.ok((await ask(page, 'GET', '/audit')).body.entries.every((e) => !['login', 'logout', 'denied'].includes(e.kind)))
    const admin = await enter(browser, 'admin', '/audit?kind=login')
    const entry = admin.locator('[data-test=audit-entry][data-kind=login]').filter({ hasText: 'operator' }).first()
    await at(entry, 'verified').waitFor()
    await admin.context().close()
  })
})
