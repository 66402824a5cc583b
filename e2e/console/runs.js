// Calibrations from the form to the plots of their results.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { after, before, describe } from 'node:test'
import { URL, WAIT, at, enter, focus, openBrowser, screenshot, steps, until } from './lib.js'

describe('runs', { timeout: 4 * WAIT }, () => {
  const test = steps()
  const module = `E${Date.now().toString(36).toUpperCase()}`
  let browser, page, number
  before(async () => {
    browser = await openBrowser()
    page = await enter(browser, 'expert', '/runs')
  })
  after(() => browser?.close())
  const param = (name) => page.getByRole('textbox', { name: new RegExp(`^${name}( \\(required\\))?$`) })

  test('the form is what the procedure says', async () => {
    await at(page, 'procedure').waitFor()
    assert.deepEqual(await at(page, 'procedure').locator('option').allTextContents(), ['calibration'])
    for (const [name, value] of Object.entries({ module: '', vcal: '200', channels: '2032', events: '100', duration: '8', megabytes: '20', hv_channel: '0', fail_at: '0.5' })) {
      assert.equal(await param(name).inputValue(), value, name)
    }
    assert.deepEqual(await at(page, 'param-fault').locator('option').allTextContents(), ['none', 'fail', 'hang', 'crash', 'ignore-term', 'orphan'])
    await page.getByText('Amplitude of the test pulse. A whole number from 0 to 255 DAC.').waitFor()
    for (const name of ['configure', 'run', 'finish', 'end']) await at(page, `configuration-${name}`).waitFor()
  })

  test('a wrong name of a module is said next to it, and nothing is started', async () => {
    let asked = 0
    page.on('request', (r) => { if (r.method() === 'POST' && r.url().endsWith('/runs')) asked++ })
    await param('module').fill('m1;ls')
    await at(page, 'start').click()
    const error = at(page, 'param-module-error')
    await error.getByText('“m1;ls” does not fit the pattern [A-Z][A-Z0-9_]{0,31}').waitFor()
    assert.equal(await param('module').getAttribute('aria-invalid'), 'true')
    await focus(page, '#param-module')
    const field = await param('module').boundingBox()
    const said = await error.boundingBox()
    assert.ok(said.y > field.y && said.y - field.y < 120 && Math.abs(said.x - field.x) < 10, 'below the field')
    await param('vcal').fill('256')
    await param('module').fill(module)
    await at(page, 'start').click()
    await at(page, 'param-vcal-error').getByText('256 is above the maximum, 255 DAC.').waitFor()
    assert.equal(asked, 0)
    await param('vcal').fill('200')
  })

  test('what fits can be checked without starting it', async () => {
    await param('duration').fill('5')
    await param('megabytes').fill('1')
    await param('channels').fill('512')
    await page.getByRole('button', { name: 'Check' }).click()
    await at(page, 'start-answer').getByText('Checked: it could be started as it stands.').waitFor()
  })

  test('a run is started, and ends', async () => {
    await page.getByRole('button', { name: 'Start run' }).click()
    const said = at(page, 'start-answer').getByRole('link', { name: /^run \d+$/ })
    await said.waitFor()
    number = Number((await said.textContent()).slice(4))
    await page.locator('[data-test=stepper][data-state=finished]').waitFor()
    await page.getByRole('heading', { name: `The last run: ${number}` }).waitFor()
  })

  test('its results are plotted', async () => {
    await at(page, `run-${number}`).getByRole('link').click()
    await page.locator('[data-test=run-page][data-complete=true]').waitFor()
    await at(page, 'run-state').getByText('finished').waitFor()
    await at(page, 'run-facts').getByText('by expert').waitFor()
    for (const plot of ['scurves-plot', 'threshold-map', 'noise-map', 'threshold-histogram']) {
      const canvas = page.locator(`canvas[data-test=${plot}], [data-test=${plot}] canvas`).first()
      await canvas.waitFor()
      await until(`colours in ${plot}`, async () => await colours(canvas) > 8)
    }
    await at(page, 'threshold-text').getByText(/^(Far from the others|No channel is far)/).waitFor()
    // A channel that is chosen on the map is read out, and its curve is shown.
    const map = at(page, 'threshold-map')
    await page.mouse.move(0, 0) // it points at channels too
    await map.focus()
    await map.press('ArrowRight')
    await until('a channel that is read out', async () => {
      const says = await map.getAttribute('aria-valuetext')
      return /: \d+(\.\d+)? /.test(says) && await at(page, 'threshold-readout').textContent() === says
    })
    await map.press('Enter')
    await until('a channel that is marked', async () => /marked/.test(await map.getAttribute('aria-valuetext')))
    await page.evaluate(() => scrollTo(0, document.querySelector('#results').getBoundingClientRect().top + scrollY - 60))
    await page.setViewportSize({ width: 1280, height: 1250 })
    await screenshot(page, 'console-run')
    await page.setViewportSize({ width: 1280, height: 800 })
  })

  test('its files can be taken along, as they were', async () => {
    const files = at(page, 'files')
    for (const name of ['scurves.csv', 'summary.json', 'raw.bin', 'log.txt']) await at(files, `file-${name}`).waitFor()
    const got = page.waitForEvent('download')
    await at(files, 'file-scurves.csv').click()
    const file = await got
    assert.equal(file.suggestedFilename(), `run${number}-scurves.csv`)
    const bytes = await readFile(await file.path())
    await files.getByText(createHash('sha256').update(bytes).digest('hex')).waitFor()
  })

  // Long enough for all that is to be seen meanwhile.
  test('the way of a run is seen', async () => {
    const run = number + 1
    await at(page, 'nav-runs').click()
    await param('duration').fill('300')
    await page.getByRole('button', { name: 'Start run' }).click()
    await page.getByRole('heading', { name: `Run ${run} is under way` }).waitFor()
    await page.locator('[data-test=stepper][data-state=running]').waitFor()
    await at(page, 'stepper').locator('[aria-current=step]').getByText('running').waitFor()
    const progress = page.getByRole('progressbar', { name: `Progress of run ${run}` })
    const seen = new Set()
    await until('progress', async () => {
      seen.add(Number(await progress.getAttribute('value')))
      return [...seen].filter((x) => x > 0 && x < 1).length >= 2
    })
    assert.ok(await at(page, 'start').isDisabled(), 'one run at a time')
    await at(page, 'start-why').getByText(`Run ${run} is under way`).waitFor()
    await at(page, 'tail').getByText('[progress]').first().waitFor()
    const other = await enter(browser, 'viewer')
    await at(other, 'run-now').getByRole('link', { name: `Run ${run}` }).waitFor()
    await other.getByRole('progressbar', { name: `Progress of run ${run}` }).waitFor()
    await other.context().close()
  })

  test('a run is aborted with a reason', async () => {
    // What is being typed stays while the run goes on.
    const filter = page.getByRole('searchbox', { name: 'Procedure' })
    await filter.pressSequentially('cali')
    const elapsed = await at(page, 'progress-text').textContent()
    await until('progress', async () => await at(page, 'progress-text').textContent() !== elapsed)
    assert.equal(await filter.inputValue(), 'cali')
    await filter.fill('')

    const operator = await enter(browser, 'operator', `/runs/${number + 1}`)
    await operator.getByRole('button', { name: `Abort run ${number + 1}…` }).click()
    const dialog = operator.getByRole('dialog', { name: `Abort run ${number + 1}?` })
    await dialog.getByLabel('Reason').fill('the cooling is off')
    await dialog.getByRole('button', { name: `Abort run ${number + 1}` }).click()
    await dialog.waitFor({ state: 'hidden' })
    await page.locator('[data-test=stepper][data-state=aborted]').waitFor()
    await page.goto(`${URL}/runs/${number + 1}`)
    await page.locator('[data-test=run-page][data-complete=true]').waitFor()
    await page.getByText(/the cooling is off/).first().waitFor()
    await page.getByText(/operator/).first().waitFor()
    await operator.context().close()
  })

  test('runs are found by module and state, and compared', async () => {
    await at(page, 'nav-runs').click()
    await page.getByRole('searchbox', { name: 'Module' }).fill(module)
    await page.getByRole('searchbox', { name: 'Module' }).press('Enter')
    await page.waitForURL(`${URL}/runs?module=${module}`)
    await until('two runs', async () => await at(page, 'run-list').locator('tbody tr').count() === 2)
    await at(page, 'filter-state').selectOption('aborted')
    await until('one run', async () => await at(page, 'run-list').locator('tbody tr').count() === 1)
    await at(page, `run-${number + 1}`).getByText('aborted').first().waitFor()
    await page.goto(`${URL}/runs/${number + 1}?with=${number}`)
    await at(page, 'comparison').getByText('duration').first().waitFor()
  })
})

// colours is of how many a picture is.
const colours = (canvas) => canvas.evaluate((c) => {
  const data = new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)
  return new Set(data).size
})
