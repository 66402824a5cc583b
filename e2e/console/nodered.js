// Node-RED behind the gateway: who may what, and its live sockets.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, describe } from 'node:test'
import { URL, WAIT, ask, at, clean, enter, logIn, openBrowser, pages, quiet, screenshot, steps, tab, until, visit } from './lib.js'

describe('Node-RED through the gateway', { timeout: 4 * WAIT }, () => {
  const test = steps()
  let browser, operator
  before(async () => {
    browser = await openBrowser()
    operator = await enter(browser, 'operator')
    await quiet(operator, 'hv', 2)
  })
  after(async () => {
    if (operator) await quiet(operator, 'hv', 2)
    await browser?.close()
  })

  // socketOf opens a part in a session of its own, and waits for its WebSocket. What has come over it is in heard.
  async function socketOf (user, path, url) {
    const page = await visit(browser)
    await page.goto(URL + path)
    const opened = page.waitForEvent('websocket', (ws) => ws.url().startsWith(URL.replace('https', 'wss') + url)).then((ws) => {
      const heard = []
      ws.on('framereceived', ({ payload }) => heard.push(String(payload)))
      return { ws, heard }
    })
    await logIn(page, user)
    return { page, ...await opened }
  }

  // endsWith fails unless a socket closes soon after its session was ended in another tab.
  async function endsWith (t, { page, ws }) {
    clean(page)
    pages.splice(pages.indexOf(page), 1) // what it says to the refusals from now on is its own
    const other = await tab(page.context())
    await other.goto(`${URL}/`)
    await at(other, 'user-menu').click()
    const closed = once(ws, 'close').then(() => Date.now())
    const out = other.waitForResponse((r) => r.url() === `${URL}/api/v1/logout`)
    await at(other, 'logout').click()
    assert.equal((await out).status(), 204)
    const answered = Date.now()
    const took = await closed - answered
    t.diagnostic(`${ws.url().replace(/\?.*/, '')} closed ${took} ms after the logout was answered`)
    assert.ok(took < 10_000, `${took} ms`) // with the session, and not when Node-RED looks whether anybody is there
    // It does not come back: Node-RED's pages try to connect again.
    const again = await page.context().request.get(`${URL}/nodered/dashboard/power`, { maxRedirects: 0 })
    assert.ok([303, 401].includes(again.status()), `${again.status()}`)
    await page.context().close()
  }

  test('an expert has the editor, with its live socket, until the session ends', async (t) => {
    const editor = await socketOf('expert', '/nodered/', '/nodered/comms')
    const { page, heard } = editor
    await page.getByRole('button', { name: /^Deploy/ }).or(page.locator('#red-ui-header-button-deploy')).first().waitFor()
    await page.locator('#red-ui-workspace-chart .red-ui-flow-node').first().waitFor()
    await until('what the runtime says', () => heard.some((f) => f.includes('"notification/runtime-deploy"')))
    await until("nodes' states", () => heard.some((f) => f.includes('"topic":"status/')))
    assert.equal(page.url().replace(/#.*/, ''), `${URL}/nodered/`)
    await screenshot(page, 'console-editor')
    await endsWith(t, editor)
  })

  test('an operator has its page, with live values and commands that are answered', async (t) => {
    const dashboard = await socketOf('operator', '/nodered/dashboard/power', '/nodered/dashboard/socket.io/')
    const { page, heard } = dashboard
    await page.locator('[data-testid=panel-hv][data-fresh=live]').waitFor()
    const before = heard.length
    await until('readings over the socket', () => heard.length > before + 3)

    await page.getByTestId('hv-2-setpoint').fill('25')
    await page.getByTestId('hv-2-set').click()
    await page.locator('[data-testid=ack-row][data-device=hv][data-op=setv][data-channel="2"][data-phase=done][data-user=node-red]').first().waitFor()
    await page.getByTestId('hv-2-on').click()
    await until('the voltage on the page', async () => Math.abs(Number(await page.getByTestId('hv-2-vmon').getAttribute('data-value')) - 25) < 1)
    await screenshot(page, 'console-dashboard')

    // The console's log has it, under the name that Node-RED has said.
    await operator.goto(`${URL}/audit?device=hv&user=node-red`)
    const entry = operator.locator('[data-test=audit-entry]').filter({ hasText: 'hv, channel 2: set 25 V' }).first()
    await until('the command in the log', async () => {
      await at(operator, 'audit-reload').click()
      await operator.locator('section[aria-busy=false]').waitFor()
      return await entry.count() > 0
    })
    await at(entry, 'unverified').waitFor()
    await endsWith(t, dashboard)
  })

  test('an operator is told that the editor is not for them', async () => {
    const page = await enter(browser, 'operator')
    assert.equal(await at(page, 'link-editor').count(), 0)
    assert.equal(await at(page, 'link-dashboard').getAttribute('href'), '/nodered/dashboard/power')
    const res = await page.goto(`${URL}/nodered/`)
    assert.equal(res.status(), 403)
    await page.getByRole('heading', { level: 1 }).waitFor()
    await page.getByText(/expert/).first().waitFor()
    await page.getByRole('link', { name: /console/i }).first().click()
    await at(page, 'overview').waitFor()
    for (const path of ['/nodered/flows', '/nodered/settings']) assert.equal((await page.request.get(URL + path)).status(), 403, path)
    await page.context().close()
  })

  test('a part that is away has a page that says so', async () => {
    const page = await enter(browser, 'operator')
    assert.equal((await ask(page, 'GET', '/me')).body.links.grafana, undefined, 'the demonstrator has no Grafana')
    assert.equal(await at(page, 'link-grafana').count(), 0)
    const res = await page.goto(`${URL}/grafana/`)
    assert.equal(res.status(), 503)
    await page.getByText(/Grafana/).first().waitFor()
    await page.context().close()
  })
})
