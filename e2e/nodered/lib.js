// What the tests share: the bus, the browser, and a Node-RED of one's own.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import mqtt from 'mqtt'
import { chromium } from 'playwright-core'

export const NODERED_URL = (process.env.NODERED_URL || 'http://127.0.0.1:1880/nodered').replace(/\/$/, '')
export const MQTT_URL = process.env.MQTT_URL || `mqtt://127.0.0.1:${process.env.MQTT_PORT || 1883}`
export const WAIT = 60_000 // a ramp may take its time
const START = fileURLToPath(new URL('../../nodered/start.js', import.meta.url))
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']

// Bus keeps what it hears on its topics and waits for what it is to hear.
export class Bus {
  heard = []
  #waiting = new Set()

  static async open (...topics) {
    const bus = new Bus()
    bus.client = await mqtt.connectAsync(MQTT_URL, { connectTimeout: 10_000 })
    bus.client.on('message', (topic, payload, { retain }) => bus.#hear({ topic, text: payload.toString(), retain, at: Date.now() }))
    await bus.client.subscribeAsync(topics, { qos: 1 })
    return bus
  }

  #hear (m) {
    try {
      m.body = JSON.parse(m.text)
    } catch {
      m.body = undefined
    }
    this.heard.push(m)
    for (const w of this.#waiting) w()
  }

  // when resolves with the first message from index `from` on that fits.
  async when (what, fits, from = 0) {
    return await new Promise((resolve, reject) => {
      let next = from
      const look = () => {
        while (next < this.heard.length) {
          const m = this.heard[next++]
          if (fits(m)) return end(resolve, m)
        }
      }
      const timer = setTimeout(() => end(reject, new Error(`never heard: ${what}`)), WAIT)
      const end = (how, with_) => {
        clearTimeout(timer)
        this.#waiting.delete(look)
        how(with_)
      }
      this.#waiting.add(look)
      look()
    })
  }

  // tell sends a command in an envelope and waits for its end.
  async tell (device, op, channel, value) {
    const id = `e2e-${Math.random().toString(36).slice(2)}`
    const from = this.heard.length
    const expires = new Date(Date.now() + 10_000).toISOString()
    await this.client.publishAsync(`/${device}/cmd/${op}/${channel}`, JSON.stringify({ value, id, user: 'e2e', expires }), { qos: 1 })
    const end = await this.when(`the end of ${op} ${channel} ${value}`, (m) => m.topic === `/${device}/ack` && m.body?.id === id && m.body.phase !== 'accepted', from)
    return end.body
  }

  say (topic, body, retain = false) {
    return this.client.publishAsync(topic, body === '' ? '' : JSON.stringify(body), { qos: 1, retain })
  }

  commands (from = 0) {
    return this.heard.slice(from).filter((m) => m.topic.includes('/cmd/'))
  }

  close () {
    return this.client.endAsync()
  }
}

// channelIs makes a test on one channel of a status.
export function channelIs (device, number, fits) {
  return (m) => m.topic === `/${device}/status` && Array.isArray(m.body) && fits(m.body.find((c) => c.number === number) ?? {})
}

export function openBrowser () {
  return chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: FLAGS })
}

export async function openPage (browser, url, viewport = { width: 1280, height: 900 }) {
  const page = await browser.newPage({ viewport })
  page.setDefaultTimeout(WAIT)
  page.faults = []
  page.on('pageerror', (err) => page.faults.push(err.message))
  // A network that changed is the machine's: containers may start on it.
  page.on('console', (m) => { if (m.type() === 'error' && !m.text().includes('net::ERR_NETWORK_CHANGED')) page.faults.push(m.text()) })
  await page.goto(url)
  return page
}

// until waits for what a script can see.
export async function until (what, fits) {
  const end = Date.now() + WAIT
  for (;;) {
    const got = await fits()
    if (got) return got
    if (Date.now() > end) throw new Error(`never: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

// twice presses a button that asks once, for four seconds, and is then pressed
// again; asked looks that nothing has been sent by then. All of it is done once
// more only where the second press came so late that it may have meant the first.
export async function twice (button, asks, asked, done) {
  for (let round = 1; ; round++) {
    await button.click()
    const since = Date.now()
    await asks.waitFor()
    asked()
    await button.click()
    if (Date.now() - since < 3_000 || round === 5) return done.waitFor()
    if (await done.waitFor({ timeout: 4_000 }).then(() => true, () => false)) return
    await asks.waitFor({ state: 'detached' })
  }
}

export async function screenshot (page, name) {
  const dir = process.env.SCREENSHOT_DIR
  if (!dir) return
  mkdirSync(dir, { recursive: true })
  await page.screenshot({ path: join(dir, `${name}.png`), fullPage: true })
}

// startNodeRed starts one on a free port, as dcs demo does.
export async function startNodeRed (env) {
  const port = await freePort()
  const child = spawn(process.execPath, [START], {
    env: { ...process.env, DCS_BROKER: MQTT_URL, NODERED_HTTP_ROOT: '/nodered', ...env, NODERED_PORT: String(port) },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  let log = ''
  for (const out of [child.stdout, child.stderr]) out.on('data', (d) => { log += d })
  const url = `http://127.0.0.1:${port}/nodered`
  const until = Date.now() + WAIT
  for (;;) {
    if (child.exitCode !== null) throw new Error(`Node-RED ended: ${log}`)
    if (Date.now() > until) {
      child.kill('SIGKILL')
      throw new Error(`Node-RED did not start: ${log}`)
    }
    const ok = await fetch(`${url}/dashboard/`).then((r) => r.ok, () => false)
    if (ok) break
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  return {
    url,
    log: () => log,
    async stop () {
      const ended = once(child, 'exit')
      const begin = Date.now()
      child.kill('SIGTERM')
      const [code] = await ended
      return { code, ms: Date.now() - begin }
    }
  }
}

async function freePort () {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}
