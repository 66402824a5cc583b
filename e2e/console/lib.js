// What the tests share: the browser, the gateway's logins, its API, and how a
// page is judged.
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { chromium } from 'playwright-core'

export const URL = (process.env.GATEWAY_URL || 'https://localhost:8443').replace(/\/$/, '')
export const WAIT = 60_000 // a ramp may take its time
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

// visit opens a page that belongs to nobody yet. Its faults are whatever the
// browser complains of; other hosts that it asks are in strangers.
export async function visit (browser, { viewport = { width: 1280, height: 900 }, dark = false } = {}) {
  const context = await browser.newContext({
    viewport, ignoreHTTPSErrors: true, acceptDownloads: true, colorScheme: dark ? 'dark' : 'light', reducedMotion: 'reduce'
  })
  const page = await context.newPage()
  page.setDefaultTimeout(WAIT)
  page.faults = []
  page.strangers = []
  page.on('pageerror', (err) => page.faults.push(err.message))
  page.on('console', (m) => { if (m.type() === 'error') page.faults.push(m.text()) })
  page.on('request', (r) => { if (!r.url().startsWith(URL) && !/^(data|blob):/.test(r.url())) page.strangers.push(r.url()) })
  return page
}

// enter logs somebody in through the login page, and returns the page behind it.
export async function enter (browser, user, options = {}) {
  const page = await visit(browser, options)
  await page.goto(URL + (options.path ?? '/'))
  await logIn(page, user)
  return page
}

export async function logIn (page, user, secret = password(user)) {
  await page.getByLabel('Name').fill(user)
  await page.getByLabel('Password', { exact: true }).fill(secret)
  await page.getByRole('button', { name: 'Log in' }).click()
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

export async function screenshot (page, name) {
  const dir = process.env.SCREENSHOT_DIR
  if (!dir) return
  mkdirSync(dir, { recursive: true })
  await page.screenshot({ path: join(dir, `${name}.png`) })
}
