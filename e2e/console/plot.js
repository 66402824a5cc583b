// What was: ranges, zoom, scale, lines, and plots to take along.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, describe } from 'node:test'
import { WAIT, at, drag, drawn, enter, number, openBrowser, quiet, screenshot, steps, tell, until } from './lib.js'

const SET = 40 // V

describe('the plot', { timeout: 4 * WAIT }, () => {
  const test = steps()
  let browser, page, caption
  before(async () => {
    browser = await openBrowser()
    page = await enter(browser, 'operator', '/device/hv')
    caption = page.locator('[data-test=plot-summary] caption')
    await quiet(page, 'hv', 1)
    await tell(page, 'hv', { op: 'setv', channel: 1, value: SET })
    await tell(page, 'hv', { op: 'switch', channel: 1, value: 'on' })
  })
  after(async () => {
    if (page) await quiet(page, 'hv', 1)
    await browser?.close()
  })
  const span = async () => {
    const [, from, to] = /, (.*) to (.*)$/.exec(await caption.textContent())
    return Date.parse(to) - Date.parse(from)
  }
  // loads does what makes the page ask for a span that is about so long, in ms, and waits until that is drawn.
  async function loads (what, least, most) {
    const asked = page.waitForResponse((r) => r.ok() && r.url().includes('/api/v1/history?') && span1(r.url()) >= least && span1(r.url()) <= most)
    await what()
    await asked
    await page.getByText('Loading…').waitFor({ state: 'detached' })
    await drawn(page)
  }
  // span1 is how much a question to the archive asks for, ms. It has times in place of a duration where clocks differ, or one has zoomed.
  function span1 (url) {
    const q = new globalThis.URL(url).searchParams
    const back = /^-(\d+)m$/.exec(q.get('from'))
    return back ? Number(back[1]) * 60_000 : Date.parse(q.get('to')) - Date.parse(q.get('from'))
  }

  test('has lines for all channels, and for those that are chosen', async () => {
    for (const n of [0, 1, 2, 3]) await at(page, `line-${n}-vmon`).waitFor()
    await at(page, 'line-channel-2').uncheck()
    await at(page, 'line-channel-3').uncheck()
    await at(page, 'line-2-vmon').waitFor({ state: 'detached' })
    await at(page, 'field-imon').check()
    await at(page, 'line-1-imon').getByRole('rowheader').getByText('Channel 1 imon').waitFor()
    await until('a current', async () => /[µn]A$/.test(await at(page, 'line-1-imon').getByRole('cell').nth(1).textContent()))
    await at(page, 'field-imon').uncheck()
    await until('the voltage', async () => Math.abs(await number(at(page, 'line-1-vmon').getByRole('cell').nth(1)) - SET) < 1)
  })

  test('goes back from minutes to a month', async () => {
    const minute = 60_000
    for (const [range, minutes] of [['1h', 60], ['6h', 360], ['24h', 1440], ['7d', 7 * 1440], ['30d', 30 * 1440], ['15m', 15]]) {
      await loads(() => at(page, `range-${range}`).click(), minutes * minute, minutes * minute)
      assert.equal(await at(page, `range-${range}`).getAttribute('aria-pressed'), 'true')
      assert.ok(Math.abs(await span() - minutes * minute) <= 3_600_000 * (minutes > 1440), range) // the clock may change within a month
      await until(`a line over ${range}`, async () => Math.abs(await number(at(page, 'line-1-vmon').getByRole('cell').nth(4)) - SET) < 1)
    }
    assert.equal(await at(page, 'plot-error').count(), 0)
  })

  test('is zoomed by dragging, and goes back', async () => {
    await loads(() => drag(page, 0.9, 0.999), 80_000, 100_000)
    const zoomed = await span()
    assert.ok(Math.abs(zoomed - 90_000) < 8_000, `${zoomed} ms`)
    const before = await caption.textContent()
    await at(page, 'plot').scrollIntoViewIfNeeded()
    await screenshot(page, 'console-plot')
    const box = await drag(page, 0.5, 0.9)
    await until('a part of that', async () => await span() < zoomed / 2)
    await page.mouse.dblclick(box.x + box.width / 2, box.y + box.height / 2)
    await at(page, 'zoom-reset').waitFor({ state: 'detached' })
    assert.equal(await span(), 15 * 60_000)
    assert.notEqual(await caption.textContent(), before)
    // The same with keys.
    await at(page, 'zoom-in').press('Enter')
    await until('half', async () => Math.abs(await span() - 7.5 * 60_000) <= 1_000)
    await at(page, 'zoom-earlier').press('Enter')
    await at(page, 'zoom-out').press('Enter')
    await until('double', async () => Math.abs(await span() - 15 * 60_000) <= 1_000)
    await page.getByRole('button', { name: 'Reset' }).click()
    await at(page, 'zoom-reset').waitFor({ state: 'detached' })
  })

  test('has a logarithmic scale', async () => {
    await loads(() => drag(page, 0.9, 0.97), 50_000, 75_000) // what is over stands still
    let linear
    await until('a picture that stands still', async () => linear === (linear = await picture(page)))
    await page.getByRole('checkbox', { name: 'log |y|' }).check()
    await until('another picture', async () => await picture(page) !== linear)
    await at(page, 'log').uncheck()
    await until('the picture as it was', async () => await picture(page) === linear)
    await loads(() => at(page, 'zoom-reset').click(), 900_000, 900_000)
  })

  test('is taken along as a table', async () => {
    const got = page.waitForEvent('download')
    const now = Date.now()
    await page.getByRole('button', { name: 'CSV' }).click()
    const file = await got
    assert.match(file.suggestedFilename(), /^hv_vmon_\d{4}-\d\d-\d\dT\d\d.\d\d.\d\d\.csv$/)
    const text = await readFile(await file.path(), 'utf8')
    const [head, ...rows] = text.trimEnd().split('\r\n').map((l) => l.split(','))
    // Three columns a line where the archive has joined readings.
    const columns = (line) => [[`${line} [V]`], ['min', 'mean', 'max'].map((k) => `${line} ${k} [V]`)]
    const heads = columns('hv 0 vmon').flatMap((a) => columns('hv 1 vmon').map((b) => ['time', ...a, ...b].join()))
    assert.ok(heads.includes(head.join()), head.join())
    assert.ok(rows.length > 10, `${rows.length} rows`)
    let before = ''
    for (const [time, ...values] of rows) {
      assert.equal(values.length, head.length - 1)
      assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
      assert.ok(time > before, 'in order of time')
      before = time
      for (const v of values) assert.ok(v === '' || Number.isFinite(Number(v)), v)
    }
    assert.ok(rows.some((r) => Math.abs(Number(r.at(-1)) - SET) < 1))
    assert.ok(now - Date.parse(before) < 10_000, 'up to now')
  })

  test('is taken along as a picture', async () => {
    const got = page.waitForEvent('download')
    await page.getByRole('button', { name: 'PNG' }).click()
    const file = await got
    assert.match(file.suggestedFilename(), /\.png$/)
    const bytes = await readFile(await file.path())
    assert.deepEqual([...bytes.subarray(0, 8)], [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
    const [width, height] = [bytes.readUInt32BE(16), bytes.readUInt32BE(20)]
    assert.ok(bytes.length > 5_000 && width > 800 && height > 300, `${bytes.length} bytes, ${width} × ${height}`)
  })

  test("is there for a sensor's values too", async () => {
    await page.goto(new globalThis.URL('/device/dht_room', page.url()).href)
    await until('a temperature', async () => Number.isFinite(await number(at(page, 'line-temperature').getByRole('cell').nth(1))))
    await at(page, 'plot').waitFor()
  })
})

const picture = (page) => page.evaluate(() => document.querySelector('[data-test=plot] canvas').toDataURL())
