// An operator at Node-RED's page, behind the gateway's login. The supply is left
// at 25 V: whoever started this looks for them in the archive.
import { after, before, describe, test } from 'node:test'
import { URL, WAIT, logIn, openBrowser, screenshot, until, visit } from '../console/lib.js'

describe("Node-RED's page in the stack of containers", { timeout: 3 * WAIT }, () => {
  let browser
  before(async () => { browser = await openBrowser() })
  after(() => browser?.close())

  test('sets and switches a channel of the supply', async () => {
    const page = await visit(browser)
    await page.goto(`${URL}/nodered/dashboard/power`)
    await logIn(page, 'operator')
    await page.locator('[data-testid=panel-hv][data-fresh=live]').waitFor()
    await page.getByTestId('hv-2-setpoint').fill('25')
    await page.getByTestId('hv-2-set').click()
    await page.locator('[data-testid=ack-row][data-device=hv][data-op=setv][data-channel="2"][data-phase=done][data-user=node-red]').first().waitFor()
    await page.getByTestId('hv-2-on').click()
    await until('the voltage on the page', async () => Math.abs(Number(await page.getByTestId('hv-2-vmon').getAttribute('data-value')) - 25) < 1)
    await screenshot(page, 'containers-page')
  })
})
