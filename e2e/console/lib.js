// What the tests share: the browser, the gateway's logins, its API, and how a
// page is judged.
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { test } from 'node:test'
import { chromium } from 'playwright-core'

export const URL = (process.env.GATEWAY_URL || 'https://localhost:8443').replace(/\/$/, '')
export const WAIT = 60_000 // a ramp may take its time, and a machine that does other things too
export const LAPTOP = { width: 1280, height: 800 }
export const PHONE = { width: 360, height: 740 }
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

const logins = Object.fromEntries(
  JSON.parse(readFileSync(process.env.LOGINS || '../../data/demo/logins.json', 'utf8')).map((l) => [l.name ?? l.Name, l.password ?? l.Password])
)

// password of one of the demonstrator's users, who are named after their roles.
export const password = (user) => logins[user]

export function openBrowser () {
  return chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: FLAGS })
}

// What the browser writes of an answer that is no success, which is the tests' own doing.
const REFUSED = /^Failed to load resource: the server responded with a status of 4\d\d /
// And of a command whose driver took more than two seconds: its end comes later, and is waited for.
const LATE = /^Failed to load resource: the server responded with a status of 504 .*\/api\/v1\/(devices\/\w+\/commands|runs|runs\/\d+\/abort|off)\b/

// The machine has got or lost an address, as when containers start on it: Chromium breaks connections off, and pages connect again.
const MACHINE = /^Failed to load resource: net::ERR_NETWORK_CHANGED /

// steps makes tests that go on from each other: after one that fails the others fail at once.
export function steps () {
  let broken = ''
  return (name, f) => test(name, async (t) => {
    assert.equal(broken, '', 'what it goes on from has failed')
    broken = name
    try {
      await f(t)
    } catch (err) {
      for (const fault of pages.flatMap((p) => p.faults).filter((f) => !REFUSED.test(f))) t.diagnostic(`the browser: ${fault}`)
      throw err
    }
    broken = ''
  })
}

// pages are all that were opened, to be judged at the end.
export const pages = []

// visit opens a page that belongs to nobody yet.
export async function visit (browser, { viewport = LAPTOP, dark = false } = {}) {
  const context = await browser.newContext({
    viewport, ignoreHTTPSErrors: true, acceptDownloads: true, colorScheme: dark ? 'dark' : 'light', reducedMotion: 'reduce'
  })
  return await tab(context)
}

// tab opens a page with the session of a context. Its faults are whatever the
// browser complains of; other hosts that it asks are in strangers.
export async function tab (context) {
  const page = await context.newPage()
  page.setDefaultTimeout(WAIT)
  page.faults = []
  page.strangers = []
  page.on('pageerror', (err) => page.faults.push(err.message))
  page.on('console', (m) => { if (m.type() === 'error') page.faults.push(`${m.text()} (${page.url()}${m.location().url === page.url() ? '' : `, ${m.location().url}`})`) })
  page.on('request', (r) => { if (!r.url().startsWith(URL + '/') && !/^(data|blob):/.test(r.url())) page.strangers.push(r.url()) })
  page.on('websocket', (ws) => { if (!ws.url().startsWith(URL.replace(/^http/, 'ws') + '/')) page.strangers.push(ws.url()) })
  await page.addInitScript(() => document.addEventListener('securitypolicyviolation', (e) => console.error(`policy violated: ${e.effectiveDirective} ${e.blockedURI}`)))
  pages.push(page)
  return page
}

// at finds what has a data-test.
export const at = (where, name) => where.locator(`[data-test="${name}"]`)

const sessions = new Map() // by user: one each, for logins are counted

// enter opens a page of the console as somebody, who has logged in once for all
// such pages. A script in the options is executed before any of the page's own.
export async function enter (browser, user, path = '/', options = {}) {
  const page = await visit(browser, options)
  if (options.script) await page.addInitScript(options.script)
  if (!sessions.has(user)) sessions.set(user, await signIn(page.context(), user))
  await page.context().addCookies(sessions.get(user))
  await page.goto(URL + path)
  return page
}

// signIn logs in as a script does, and waits when there were many logins before.
async function signIn (context, user) {
  for (;;) {
    const res = await context.request.post(`${URL}/api/v1/login`, { data: { user, password: password(user) } })
    if (res.ok()) return await context.cookies()
    assert.equal(res.status(), 429, await res.text())
    await new Promise((resolve) => setTimeout(resolve, 1000 * Number(res.headers()['retry-after'])))
  }
}

// logIn logs somebody in through the login page. When there were many logins
// before, the page says for how long the button has to wait.
export async function logIn (page, user, secret = password(user)) {
  for (;;) {
    const answer = page.waitForResponse((r) => r.url() === `${URL}/api/v1/login`)
    await page.getByLabel('Name').fill(user)
    await page.getByLabel('Password', { exact: true }).fill(secret)
    await page.getByRole('button', { name: 'Log in' }).click()
    if ((await answer).status() !== 429) return
    await page.getByRole('button', { name: 'Log in' }).waitFor()
  }
}

// ask calls the API with the page's session, as a script in it could.
export function ask (page, method, path, body) {
  return page.evaluate(async ([method, path, body]) => {
    const res = await fetch(`/api/v1${path}`, {
      method, headers: body === undefined ? {} : { 'Content-Type': 'application/json' }, body: body === undefined ? undefined : JSON.stringify(body)
    })
    const text = await res.text()
    return { status: res.status, body: text === '' ? null : JSON.parse(text) }
  }, [method, path, body])
}

// tell sends a command with the page's session and waits for its end.
export async function tell (page, device, command) {
  return await (await begin(page, device, command))()
}

// refused sends a command that is to be refused. It is no other for being sent
// again when the driver has not answered within the gateway's two seconds.
export async function refused (page, device, command) {
  return await until(`an answer to ${command.op}`, async () => {
    const answer = await ask(page, 'POST', `/devices/${device}/commands`, command)
    return answer.status !== 504 && answer
  })
}

// begin sends a command. What it returns waits for its end. A driver may answer after the gateway has given it up.
async function begin (page, device, command) {
  let { status, body } = await ask(page, 'POST', `/devices/${device}/commands`, command)
  assert.ok([200, 202, 504].includes(status), `${JSON.stringify(command)}: ${status} ${JSON.stringify(body)}`)
  const { id } = body
  return async () => {
    await until(`the end of ${command.op}`, async () => {
      if (!['accepted', 'sent', 'unanswered'].includes(body.phase)) return true
      body = (await ask(page, 'GET', `/commands/${id}`)).body
      return false
    })
    return body
  }
}

// quiet sets channels to 0 V, off and without lock, whatever was before. It needs an operator, and for others' locks an expert.
export async function quiet (page, device, ...channels) {
  for (const channel of channels) {
    await tell(page, device, { op: 'unlock', channel })
    const off = await begin(page, device, { op: 'switch', channel, value: 'off' })
    await tell(page, device, { op: 'setv', channel, value: 0 }) // which does not matter to the ramp down
    await off()
  }
}

// until waits for what a script can see.
export async function until (what, fits, patience = WAIT) {
  const end = Date.now() + patience
  for (;;) {
    const got = await fits()
    if (got) return got
    assert.ok(Date.now() < end, `never: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

// focus waits until what fits a selector has the focus: a frame may be late.
export function focus (page, selector) {
  return page.waitForFunction((selector) => document.activeElement.matches(selector), selector)
}

// drawn waits until what is drawn after a page's next frame is there.
export function drawn (page) {
  return page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve))))
}

// gone waits until none of those that were there is.
export function gone (locator) {
  return locator.first().waitFor({ state: 'detached' })
}

// number is the value that an element shows; its sign may be a minus.
export async function number (locator) {
  return parseFloat((await locator.textContent()).replace('−', '-').replace(/^[^\d-]*/, ''))
}

// drag zooms the plot to a part of it, in fractions of its width. It returns where the plot is.
export async function drag (page, from, to) {
  await at(page, 'plot').scrollIntoViewIfNeeded()
  const box = await page.locator('[data-test=plot] .u-over').boundingBox()
  await page.mouse.move(box.x + from * box.width, box.y + box.height / 2)
  await page.mouse.down()
  await page.mouse.move(box.x + to * box.width, box.y + box.height / 3, { steps: 5 })
  await page.mouse.up()
  await at(page, 'zoom-reset').waitFor()
  return box
}

// accessible fails on whatever axe finds. Its script is put in past the page's
// own policy, which lets nothing in.
export async function accessible (page, what) {
  const cdp = await page.context().newCDPSession(page)
  const run = `${axe}; axe.run(document, { resultTypes: ['violations'] }).then((r) => JSON.stringify(r.violations.map((v) => ({ id: v.id, impact: v.impact, nodes: v.nodes.map((n) => n.target.join(' ') + ': ' + n.failureSummary) }))))`
  const { result, exceptionDetails } = await cdp.send('Runtime.evaluate', { expression: run, awaitPromise: true, allowUnsafeEvalBlockedByCSP: true })
  await cdp.detach()
  assert.equal(exceptionDetails, undefined, JSON.stringify(exceptionDetails))
  assert.deepEqual(JSON.parse(result.value), [], `${what}: axe's findings`)
}

// fits fails when something hangs over the right edge.
export async function fits (page, what) {
  const [wide, inner] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth])
  assert.ok(wide <= inner, `${what}: ${wide} px wide in a window of ${inner} px`)
}

// clean fails when a page has asked another host, or the browser has complained
// of more than requests that were refused, and what is allowed.
export function clean (page, ...allowed) {
  assert.deepEqual(page.strangers, [], 'other hosts were asked')
  const own = [REFUSED, LATE, MACHINE, ...allowed]
  assert.deepEqual(page.faults.filter((f) => !own.some((o) => o.test(f))), [], 'what the browser complains of')
}

// whole makes the window as high as is needed to see all down to the end of something.
export async function whole (page, name) {
  await page.mouse.move(0, 0)
  await page.evaluate(() => scrollTo(0, 0))
  const { y, height } = await at(page, name).boundingBox()
  await page.setViewportSize({ width: page.viewportSize().width, height: Math.ceil(y + height) + 16 })
}

export async function screenshot (page, name) {
  const dir = process.env.SCREENSHOT_DIR
  if (!dir) return
  mkdirSync(dir, { recursive: true })
  await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))) // what is drawn anew is there
  await page.screenshot({ path: join(dir, `${name}.png`) })
}
