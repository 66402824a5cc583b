// Coming and going.
import assert from 'node:assert/strict'
import { after, before, describe } from 'node:test'
import { URL, WAIT, at, focus, logIn, openBrowser, screenshot, steps, tab, until, visit } from './lib.js'

describe('the login', { timeout: 2 * WAIT }, () => {
  const test = steps()
  let browser, page
  before(async () => {
    browser = await openBrowser()
    page = await visit(browser)
  })
  after(() => browser?.close())
  const path = (page) => page.waitForFunction(() => location.pathname + location.search).then((h) => h.jsonValue())

  test('a page asks who comes', async () => {
    await page.goto(`${URL}/device/hv?x=1`)
    await page.waitForURL(`${URL}/login?next=${encodeURIComponent('/device/hv?x=1')}`)
    await page.getByLabel('Name').waitFor()
    await focus(page, '#user') // the first field
    await screenshot(page, 'console-login')
  })

  test('a wrong password is said in words', async () => {
    await logIn(page, 'viewer', 'wrong horse battery')
    const alert = page.getByRole('alert').filter({ hasText: 'The name or the password is wrong.' })
    await alert.waitFor()
    assert.equal(await page.getByLabel('Password', { exact: true }).inputValue(), '')
    assert.match(page.url(), /\/login\?next=/)
  })

  test('the right one leads to the page first asked for', async () => {
    await logIn(page, 'viewer')
    await page.getByRole('heading', { name: 'hv', level: 1 }).waitFor()
    assert.equal(await path(page), '/device/hv?x=1')
    assert.equal(await at(page, 'role').textContent(), 'viewer')
    const [cookie] = await page.context().cookies()
    assert.deepEqual([cookie.name, cookie.secure, cookie.httpOnly, cookie.sameSite, cookie.path], ['__Host-dcs', true, true, 'Lax', '/'])
    await page.goto(`${URL}/login?next=%2Facks`)
    await page.waitForURL(`${URL}/acks`)
  })

  test('a session that ends in one page sends the others to the login', async () => {
    const other = await tab(page.context())
    await other.goto(`${URL}/runs`)
    await other.locator('[data-test=run-list], [data-test=no-runs]').waitFor() // what is being answered when the session ends is given up, which the browser complains of
    await at(other, 'user-menu').click()
    await other.getByRole('button', { name: 'Log out' }).click()
    await other.waitForURL(`${URL}/login?next=%2Fruns`)
    await page.waitForURL(`${URL}/login?next=%2Facks`)
    await until('no cookie', async () => (await page.context().cookies()).length === 0)
    assert.equal((await page.context().request.get(`${URL}/api/v1/me`)).status(), 401)
    await other.close()
  })

  test('a next of another host is not followed', async () => {
    for (const next of ['https://example.org/', '//example.org/', '/\\example.org/', 'javascript:alert(1)']) {
      await page.goto(`${URL}/login?next=${encodeURIComponent(next)}`)
      await page.getByLabel('Name').waitFor()
    }
    await page.goto(`${URL}/login?next=${encodeURIComponent('//example.org/')}`)
    await logIn(page, 'viewer')
    await at(page, 'overview').waitFor()
    assert.equal(page.url(), `${URL}/`)
    assert.deepEqual(page.strangers, [])
    // Who is logged in already is sent on by the same rule.
    for (const next of ['https://example.org/', '//example.org/', '/\\example.org/', 'javascript:alert(1)']) {
      await page.goto(`${URL}/login?next=${encodeURIComponent(next)}`)
      await at(page, 'overview').waitFor()
      assert.equal(page.url(), `${URL}/`, next)
    }
    assert.deepEqual(page.strangers, [])
  })

  test("a page of Node-RED's leads there after the login", async () => {
    const stranger = await visit(browser)
    await stranger.goto(`${URL}/nodered/dashboard/power`)
    await stranger.getByLabel('Name').waitFor()
    await logIn(stranger, 'operator')
    await stranger.locator('[data-testid=panel-hv]').waitFor()
    assert.equal(stranger.url(), `${URL}/nodered/dashboard/power`)
    await stranger.context().close()
  })
})
