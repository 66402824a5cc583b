// The bus freezes, the gateway is killed: what is not live is never shown as if
// it were, and the page goes on by itself. POSTs to FAULTS_URL make the faults.
import assert from 'node:assert/strict'
import { after, before, describe } from 'node:test'
import { URL, WAIT, at, clean, enter, number, openBrowser, pages, quiet, screenshot, steps, tell, until } from './lib.js'

const SOON = 3_000 // ms after which what is stale has to look so
const fault = async (name) => {
  const res = await fetch(`${process.env.FAULTS_URL}/${name}`, { method: 'POST' })
  assert.ok(res.ok, name)
  return Date.now()
}

// lateness keeps an eye on the machine until it is asked: how many ms too late its timer came at most.
function lateness () {
  const step = 20
  let worst = 0, last = performance.now()
  const timer = setInterval(() => {
    const now = performance.now()
    worst = Math.max(worst, Math.round(now - last - step))
    last = now
  }, step)
  return () => { clearInterval(timer); return worst }
}

describe('the console and what is lost', { timeout: 5 * WAIT }, () => {
  const test = steps()
  let browser, overview, page, channel
  before(async () => {
    browser = await openBrowser()
    overview = await enter(browser, 'operator')
    page = await enter(browser, 'operator', '/device/hv', { script: listen })
    channel = at(page, 'channel-0')
    await live()
    await tell(page, 'hv', { op: 'setv', channel: 0, value: 50 })
    await tell(page, 'hv', { op: 'switch', channel: 0, value: 'on' })
    await until('50 V', async () => Math.abs(await number(at(channel, 'vmon')) - 50) < 1)
    await page.evaluate(watch)
  })
  after(async () => {
    await fault('thaw')
    if (page) await quiet(page, 'hv', 0)
    await browser?.close()
  })

  const both = (f) => Promise.all([f(overview), f(page)])
  const live = () => both(async (p) => {
    await p.locator('[data-test=device-hv][data-fresh=live], [data-test=device-page-hv][data-fresh=live]').waitFor()
    await p.locator('.banner').waitFor({ state: 'detached' })
    await until('no value that is not live', async () => await p.locator('.value.stale, .value.invalid').count() === 0)
  })
  // stale waits until a banner is there and nothing says that it is live.
  async function stale (p, banner) {
    let wrong
    await until('stale', async () => (wrong = await p.evaluate(liveStill, banner)) === '').catch(() => assert.fail(wrong))
  }
  // within has something broken, and mended and broken again when it was seen too late by a machine that stood still meanwhile.
  const within = async (t, what, banner, broken, mended) => {
    for (let round = 1; ; round++) {
      const late = lateness()
      const since = await fault(broken)
      await both((p) => stale(p, banner))
      const took = Date.now() - since
      const stood = late()
      t.diagnostic(`${what}: seen on both pages after ${took} ms, ${stood} ms late at most`)
      if (took < SOON) return
      assert.ok(round < 3 && stood > 100, `${took} ms`)
      await fault(mended)
      await live()
      await page.evaluate(() => { window.seen.turns.length = 0 })
    }
  }

  test('a frozen bus is seen within 3 s', async (t) => {
    await within(t, 'a frozen bus', 'banner-bus', 'freeze', 'thaw')
    await at(page, 'banner-bus').getByText('The gateway has lost the bus').waitFor()
    assert.equal(await page.getByRole('alert').filter({ has: at(page, 'banner-bus') }).count(), 1)
    await at(page, 'stale-note').getByText('The values are not live').waitFor()
    assert.match(await at(channel, 'vmon').textContent(), /^(last known: |— last )(50|49)\./)
    await screenshot(page, 'console-stale')
  })

  test('a command that nobody answers is not done', async () => {
    await at(channel, 'setv').fill('20')
    await at(channel, 'setv-set').click()
    const alert = channel.getByRole('alert').filter({ hasText: '20: no answer' })
    await alert.waitFor()
    await alert.getByText(/not known/).waitFor()
    assert.equal(await channel.locator('[data-test=result-setv][data-phase=done]').count(), 0)
    assert.match(await page.locator('[data-test=my-commands] [data-test=command]').first().textContent(), /unanswered/)
  })

  test('values are gone after a while, and a page that is opened now has none that are live', async () => {
    await page.locator('[data-test=device-page-hv][data-fresh=invalid]').waitFor()
    assert.match(await at(channel, 'vmon').textContent(), /^— last (50|49)\./)
    await at(channel, 'on').getByText('unknown').waitFor()
    const late = await enter(browser, 'viewer', '/device/hv')
    await stale(late, 'banner-bus')
    await late.context().close()
  })

  test('what comes late is not live, and what is measured then is', async (t) => {
    const thawed = await fault('thaw')
    await live()
    t.diagnostic(`live again ${Date.now() - thawed} ms after the bus goes on`)
    const { statuses, turns } = await page.evaluate(() => window.seen)
    const late = statuses.filter((s) => s.came >= thawed - 100 && s.came - s.measured > 1_600)
    assert.ok(late.length > 0, 'statuses have come late') // how many goes by what was under way when the bus froze
    for (const turn of turns.filter((x) => x.fresh === 'live')) {
      assert.ok(turn.age < 1_650, `live with what is ${turn.age} ms old`)
    }
    assert.equal(turns.findIndex((x) => x.fresh === 'live'), turns.length - 1, `it turns live once: ${turns.map((x) => x.fresh)}`)
    // The driver has the command now, and says how it ends: it is executed if it is not too old.
    await channel.locator('[data-test=result-setv][data-phase=done], [data-test=result-setv][data-phase=rejected]').waitFor()
    await until('a voltage that is live', async () => /^\d/.test(await at(channel, 'vmon').textContent()))
  })

  test('a killed gateway is seen within 3 s', async (t) => {
    await within(t, 'a killed gateway', 'banner-gateway', 'kill', 'start')
    await at(page, 'banner-gateway').getByText('Connection to the gateway lost').waitFor()
    await screenshot(page, 'console-lost')
    await at(channel, 'setv').fill('30')
    await at(channel, 'setv-set').click()
    await channel.getByRole('alert').filter({ hasText: '30: no answer' }).waitFor()
  })

  test('the pages go on by themselves when it is back, without a login', async (t) => {
    const started = await fault('start')
    await live()
    t.diagnostic(`live again ${Date.now() - started} ms after the gateway was started`)
    assert.deepEqual([overview.url(), page.url()], [`${URL}/`, `${URL}/device/hv`])
    assert.equal(await at(page, 'user').textContent(), 'operator')
    await at(channel, 'setv').fill('40')
    await at(channel, 'setv-set').click()
    await channel.locator('[data-test=result-setv][data-phase=done], [data-test=result-setv][data-phase=accepted]').waitFor()
    await until('the voltage', async () => Math.abs(await number(at(channel, 'vmon')) - 40) < 1)
  })

  test('nothing else went wrong', () => {
    for (const p of pages) clean(p, /^Failed to load resource: (the server responded with a status of 50[234] |net::ERR_)/)
  })
})

// liveStill says what of a page looks live, or that the banner is missing.
function liveStill (banner) {
  const bad = (selector, stale) => [...document.querySelectorAll(selector)].filter((e) => !stale(e)).map((e) => `${selector}: ${e.outerHTML.slice(0, 200)}`)
  const values = document.querySelectorAll('.value').length
  return [
    document.querySelectorAll(`[data-test=${banner}]`).length === 1 ? [] : `no ${banner}`, values > 10 ? [] : `${values} values`,
    bad('[data-fresh]', (e) => e.dataset.fresh !== 'live'), bad('.value', (e) => e.matches('.stale, .invalid')),
    bad('[data-test=on]', (e) => /^(was|unknown)/.test(e.textContent)), bad('[data-test=state]', (e) => /^was /.test(e.textContent))
  ].flat().join('\n')
}

// listen notes in the page when the statuses of its own stream come, and when they were measured. All clocks are this machine's.
function listen () {
  const seen = window.seen = { statuses: [], turns: [] }
  const take = (status) => status && seen.statuses.push({ came: Date.now(), measured: Date.parse(status[0].time) })
  window.EventSource = class extends EventSource {
    constructor (...rest) {
      super(...rest)
      this.addEventListener('hello', (e) => take(JSON.parse(e.data).devices.find((d) => d.name === 'hv')?.status))
      this.addEventListener('status', (e) => { const s = JSON.parse(e.data); if (s.device === 'hv') take(s.status) })
    }
  }
}

// watch notes when what is shown turns live or stale, and how old the newest status is then.
function watch () {
  const { statuses, turns } = window.seen
  const shown = document.querySelector('[data-test=device-page-hv]')
  new MutationObserver(() => {
    const at = Date.now()
    turns.push({ at, fresh: shown.dataset.fresh, age: at - Math.max(...statuses.map((s) => s.measured)) })
  }).observe(shown, { attributeFilter: ['data-fresh'] })
}
